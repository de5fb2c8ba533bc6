"""Trying a tier for nothing, once for each product and identity: an order of price 0, fulfilled at once.

A code that was typed counts before a trial, and `Wish.takes_trial` says no to one; a tier that is free anyway has none.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from keysat.catalog.tables import TrialNeeds
from keysat.catalog.tiers import Choice
from keysat.checkout.codes import Asked
from keysat.checkout.desk import Desk
from keysat.checkout.draft import buyer_of, draft
from keysat.checkout.happenings import TrialStarted
from keysat.checkout.quote import given
from keysat.checkout.reopen import ordered_already
from keysat.checkout.settle import settle
from keysat.checkout.tables import Order, OrderId, PaidHow, Purpose, Trial
from keysat.checkout.wish import Wish
from keysat.customers.accounts import normal_email
from keysat.infra.events import Actor, digest
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.money import BtcRate

Admit = Callable[[], Awaitable[None]]
"""The door's limit for trials that ask for no identity. Raises RateLimited."""


class IdentityMissing(BadRequest):
    """The trial is one for each identity, and none was given."""


class TrialUsed(Conflict):
    """This identity has tried the product."""


async def anyone() -> None:
    """Who asks here is known."""


def is_trial(wish: Wish, asked: Asked) -> bool:
    choice = asked.choice
    has_code = asked.discount is not None and asked.is_typed
    return wish.takes_trial and not has_code and days_of(choice) > 0


def days_of(choice: Choice) -> int:
    """0: nothing to try."""
    return choice.policy.trial_days if choice.policy is not None and choice.price.minor > 0 else 0


async def begin(
    desk: Desk, wish: Wish, choice: Choice, pin: BtcRate | None, now: datetime, actor: Actor, admit: Admit
) -> OrderId:
    """Raises IdentityMissing and TrialUsed, and what `admit` raises.

    The list price stands beside the 0 on the order, so that what follows costs what the seller wrote (W-02).
    """
    quoted = given(choice.price, desk.board.peek(choice.price.currency, pin))
    async with desk.store.read() as read:
        before = await ordered_already(read, wish, Asked(choice, None), quoted, None, now)
    if before is not None:
        return before.id
    needs, identity = _identity(wish, choice)
    if needs == TrialNeeds.NOTHING:
        await admit()
    async with desk.store.work(now, actor) as work:
        days = days_of(choice)
        order = await draft(work, Purpose.PURCHASE, choice, quoted, await buyer_of(work, wish), trial_days=days)
        if identity:
            await _claim(work, order, needs, identity)
        work.record(TrialStarted(order.id, order.product_id, order.policy_id, days, needs))
        await settle(work, order, how=PaidHow.FREE)
        return order.id


def _identity(wish: Wish, choice: Choice) -> tuple[TrialNeeds, str]:
    """The text is empty where nothing is asked. Raises IdentityMissing, and BadRequest for what is no address."""
    needs = choice.policy.trial_needs if choice.policy is not None else TrialNeeds.NOTHING
    match needs:
        case TrialNeeds.EMAIL:
            if not wish.buyer_email:
                raise _missing(choice, "e-mail address: send `buyer_email`")
            return needs, normal_email(wish.buyer_email)
        case TrialNeeds.FINGERPRINT:
            if not wish.fingerprint:
                raise _missing(choice, "device: send its `fingerprint`")
            return needs, wish.fingerprint
        case TrialNeeds.NOTHING:
            return needs, ""


def _missing(choice: Choice, words: str) -> IdentityMissing:
    return IdentityMissing(
        f"{choice.product.name} begins with a trial of {days_of(choice)} days, one for each {words}. "
        "To buy it without a trial, send `trial: false`."
    )


async def _claim(work: Work, order: Order, needs: TrialNeeds, identity: str) -> None:
    """Of many who ask at once, the index lets one through."""
    write = work.insert(Trial).values(
        product_id=order.product_id,
        kind=needs,
        hash=digest(str(order.product_id), needs, identity),
        order_id=order.id,
        created_at=work.now,
    )
    if (await work.session.execute(write.on_conflict_do_nothing().returning(Trial.order_id))).first() is None:
        raise TrialUsed(
            "The trial of this product was used already. If its key is lost, recover it; to buy, send `trial: false`."
        )
