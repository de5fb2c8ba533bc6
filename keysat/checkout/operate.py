"""What the operator may do to an order: take it for paid, refuse it, look again, or give a license away."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keysat.catalog.read import policies, product_by_slug
from keysat.catalog.tiers import Choice, list_price, tier_named
from keysat.catalog.views import PolicyView, ProductView
from keysat.checkout.change.open import change_of, check_may_change, hold_license
from keysat.checkout.close import close
from keysat.checkout.codes import release
from keysat.checkout.draft import Buyer, draft
from keysat.checkout.next_order import adopt, pays_no_period
from keysat.checkout.quote import given
from keysat.checkout.read import attempt_with_money
from keysat.checkout.settle import settle
from keysat.checkout.tables import ENDED, Order, OrderId, OrderStatus, PaidHow, Purpose, Step
from keysat.customers.accounts import normal_email, remember
from keysat.infra.attention import settle_about
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict, Unavailable
from keysat.licenses.change import OwnValues, set_note, set_own


async def accept(work: Work, order_id: OrderId) -> Order:
    """Take the order for paid: cash, a late payment, a review that ended well.

    Raises Conflict for a draft, and for what is paid already: a paid order that has no license yet wants `retry`. Of a
    renewal whose place another order took, it pays the next period; Conflict when there is none, and for another
    tier. Of a change of tier: as `check_may_change`.
    """
    order = await work.hold(Order, order_id)
    if order.status in (OrderStatus.DRAFT, OrderStatus.PAID, OrderStatus.FULFILLED):
        raise Conflict(f"Order {order.support_reference} is {order.status}: there is nothing to accept.")
    if order.purpose is Purpose.TIER_CHANGE:  # else the money would be taken, and could not be refused any more
        await check_may_change(work, await hold_license(work, (await change_of(work, order)).license_id))
    elif await pays_no_period(work, order):
        await adopt(work, order)
    await settle_about(work, order.id)  # before the sale, which may call attention anew
    await settle(work, order, how=PaidHow.BY_OPERATOR, attempt_id=await attempt_with_money(work, order.id))
    return order


async def refuse(work: Work, order_id: OrderId) -> Order:
    """End a review for good, or an order nobody will pay: if it is then paid in full, it is still a sale.

    What its time to be paid is over for gives its use of a code back at once. Raises Conflict for what is paid, and for
    what has ended and holds no use.
    """
    order = await work.hold(Order, order_id)
    named = f"Order {order.support_reference} is {order.status}"
    if order.status in (OrderStatus.PAID, OrderStatus.FULFILLED):
        raise Conflict(f"{named}: it is a sale. To take it back, revoke the license and refund the buyer.")
    had_ended = order.status in ENDED
    if not had_ended:
        await close(work, order, Step.FAIL, next_look_at=work.now)
    gave_back = work.now >= order.expires_at and await release(work, order)
    if had_ended and not gave_back and order.status != OrderStatus.UNDERPAID:
        raise Conflict(f"{named} already, and holds no use of a code: there is nothing to refuse.")
    await settle_about(work, order.id)
    return order


NOTHING_OWN = OwnValues()


@dataclass(frozen=True, slots=True)
class Gift:
    """A license given by hand. Private and archived tiers may be given too."""

    product: ProductView
    policy: PolicyView | None
    email: str | None = None
    note: str | None = None
    """Stays with the license, for the operator."""
    own: OwnValues = NOTHING_OWN
    reason: str = ""
    """Of the own values."""


async def gift(
    read: Read,
    product_slug: str,
    policy_slug: str | None,
    email: str | None = None,
    note: str | None = None,
    *,
    own: OwnValues = NOTHING_OWN,
    reason: str = "",
) -> Gift:
    """Which license is meant: a product that has tiers is given by one of them, which is to be said.

    Raises NotFound for an unknown product or tier, BadRequest when the tier is left out.
    """
    product = await product_by_slug(read, product_slug)
    tiers = await policies(read, product)
    if not policy_slug and tiers:
        raise BadRequest(f"Say which tier of {product.slug}: {', '.join(tier.slug for tier in tiers)}.")
    tier = tier_named(product, tiers, policy_slug, by_operator=True) if policy_slug else None
    return Gift(product, tier, email, note, own, reason)


async def give(work: Work, gift: Gift) -> Order:
    """An order of price 0 that is fulfilled at once: manual licenses go the same road as sold ones.

    The list price stays on it, since a subscription that was given renews at that (`published-server.md`, D-2).
    Raises BadRequest; Conflict for an end of its own where it renews; Unavailable when no license could be made.
    """
    customer_id = await remember(work, gift.email)
    price = list_price(gift.product, gift.policy)
    choice = Choice(gift.product, gift.policy, None, price, gift.policy.period if gift.policy else None)
    order = await draft(work, Purpose.MANUAL, choice, given(price), Buyer(customer_id=customer_id))
    await settle(work, order, how=PaidHow.FREE)
    if order.license_id is None:
        raise Unavailable(f"The license could not be made: {order.failure}.")
    if gift.own != NOTHING_OWN:
        await set_own(work, order.license_id, gift.own, gift.reason)
    if gift.note:
        await set_note(work, order.license_id, gift.note)
    return order


async def give_many(work: Work, gift: Gift, emails: Sequence[str | None]) -> list[Order]:
    """The same to each of them, all or none. As `give`; raises BadRequest for an address that stands there twice."""
    named = [normal_email(email) for email in emails if email is not None]
    if twice := sorted(email for email, count in Counter(named).items() if count > 1):
        raise BadRequest(f"{twice[0]} is on the list twice.")
    return [await give(work, replace(gift, email=email)) for email in emails]
