"""A change of tier that is to be paid: an errand, as a purchase is.

Quoted again here, order and change written in one transaction, then the provider is asked.
"""

from uuid import UUID

from keysat.catalog.tiers import Choice
from keysat.checkout.change.draft import BUYER, Asker, draft_change
from keysat.checkout.change.open import awaited_order, check_may_change, hold_license, open_change, supersede
from keysat.checkout.change.plan import plan
from keysat.checkout.change.quote import ADMIN_ONLY, Before, ChangeQuote, Wanted, quote_change
from keysat.checkout.change.tables import ChangeDirection, ChangeStatus, TierChange, TierChangeId
from keysat.checkout.collect import look_if_stale
from keysat.checkout.desk import Desk
from keysat.checkout.draft import Buyer, draft
from keysat.checkout.invoice import open_invoice, rate_for, try_at
from keysat.checkout.quote import Quote, quote
from keysat.checkout.schedule import is_being_opened
from keysat.checkout.tables import HAS_MONEY, Order, OrderStatus, Purpose
from keysat.checkout.wish import checked_redirect
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.licenses.tables import License
from keysat.payments.rates.pins import pin_of
from keysat.payments.tables import Attempt
from keysat.payments.tills import OpenTill
from keysat.subscriptions.read import subscription_of


async def upgrade(desk: Desk, license_id: UUID, wanted: Wanted, asker: Asker = BUYER) -> TierChangeId:
    """A change that is to be paid: it has a checkout page then. What is open for the same target is shown again.

    A buyer's downgrade is planned for the next renewal where the product allows it. Raises NotFound and BadRequest as
    contract 7 says; Conflict when the license changes at this very moment; UpstreamError as a purchase does.
    """
    redirect_url = checked_redirect(asker.redirect_url)
    await _look(desk, license_id)
    async with desk.read() as read:
        asked = await quote_change(
            read, await read.get(License, license_id), wanted, desk.now, by_operator=asker.is_operator
        )
        pin = await pin_of(read, asked.charge.currency)
    if asked.direction is ChangeDirection.DOWNGRADE and not asker.is_operator:
        if not asked.choice.product.downgrade_at_renewal:
            raise BadRequest(ADMIN_ONLY)
        async with desk.work() as work:
            return await plan(work, license_id, wanted, asker)
    if asked.charge.minor == 0:
        raise BadRequest("This change costs nothing now, so there is nothing to pay. Ask the seller to make it.")
    quoted = quote(asked.charge, await rate_for(desk, asked.charge, None, pin))
    till = await desk.tills.pick(asked.choice.product.merchant_profile_id)
    async with desk.work() as work:
        open_already = await _clear_the_way(work, asked)
        if open_already is not None:
            return open_already
        change, order, attempt = await _written(work, asked, quoted, till, asker, redirect_url)
    await open_invoice(desk, till, order, attempt, asked.choice)
    return change.id


async def _look(desk: Desk, license_id: UUID) -> None:
    """What was opened before may be paid by now."""
    async with desk.read() as read:
        order = await awaited_order(read, license_id)
    if order is not None:
        await look_if_stale(desk, order)


async def _clear_the_way(work: Work, asked: ChangeQuote) -> TierChangeId | None:
    """The change that is open for the same target, to be shown again. One for another is superseded.

    Raises Conflict when the license is another since the quote, and while a change of it is being opened or paid.
    """
    license = await hold_license(work, asked.license_id)
    if Before.of(license, await subscription_of(work, license.id)) != asked.before:
        raise Conflict("This license was changed a moment ago. Ask for the price again.")
    await check_may_change(work, license)
    change = await open_change(work, license.id, ChangeStatus.AWAITING_PAYMENT)
    if change is None or change.order_id is None:
        return None
    order = await work.get(Order, change.order_id)
    is_same = (change.to_policy_id, change.to_offer_id, change.target_value) == _aim(asked.choice)
    is_fresh = Before.quoted(change) == asked.before
    if is_fresh and is_same and order.is_open(work.now):
        return change.id
    if order.status in HAS_MONEY and is_same:
        return change.id
    if order.status in HAS_MONEY or order.status is OrderStatus.REVIEW:
        raise Conflict("There is money for another change of this license already. Wait until that is through.")
    if is_fresh and is_being_opened(order, work.now):
        raise Conflict("The page to pay is being opened. Try again in a few seconds.", retry_after_seconds=2)
    await supersede(work, change)
    return None


def _aim(choice: Choice) -> tuple[UUID | None, UUID | None, int]:
    return (
        choice.policy.id if choice.policy else None,
        choice.offer.id if choice.offer else None,
        choice.price.minor,
    )


async def _written(
    work: Work, asked: ChangeQuote, quoted: Quote, till: OpenTill, asker: Asker, redirect_url: str | None
) -> tuple[TierChange, Order, Attempt]:
    buyer = Buyer(customer_id=asked.customer_id, redirect_url=redirect_url)
    order = await draft(work, Purpose.TIER_CHANGE, asked.choice, quoted, buyer, license_id=asked.license_id)
    change = draft_change(work, asked, asker, ChangeStatus.AWAITING_PAYMENT, asked.proration, order)
    return change, order, try_at(work, order, till, till.asks_in(quoted.asked, quoted.amount_sats))
