"""Trying a tier for nothing, once for each product and identity: an order of price 0, fulfilled at once.

A code that was typed counts before a trial, and `Wish.takes_trial` says no to one; a tier that is free anyway has none.
"""

from collections.abc import Awaitable, Callable

from keysat.catalog.tables import TrialNeeds
from keysat.catalog.tiers import Choice, trial_days
from keysat.checkout.codes import Asked
from keysat.checkout.desk import Desk
from keysat.checkout.draft import buyer_of, draft
from keysat.checkout.happenings import TrialStarted
from keysat.checkout.quote import given
from keysat.checkout.reopen import ordered_already
from keysat.checkout.settle import settle
from keysat.checkout.tables import Order, OrderId, PaidHow, Purpose, Trial
from keysat.checkout.wish import Wish
from keysat.customers.accounts import mailbox, normal_email
from keysat.infra.vault import Vault
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.money import BtcRate

DERIVED_AS = "trial"

Admit = Callable[[], Awaitable[None]]
"""The door's limit for trials that ask for no identity. Raises RateLimited."""


class IdentityMissing(BadRequest):
    """The trial is one for each identity, and none was given."""


class TrialUsed(Conflict):
    """This identity has tried the product."""


async def unlimited() -> None:
    """The `Admit` of who is known, or gets no trial here."""


def is_trial(wish: Wish, asked: Asked) -> bool:
    choice = asked.choice
    has_code = asked.discount is not None and asked.is_typed
    return wish.takes_trial and not has_code and trial_days(choice.policy, choice.price) > 0


async def begin(desk: Desk, wish: Wish, choice: Choice, pin: BtcRate | None, admit: Admit) -> OrderId:
    """Raises IdentityMissing and TrialUsed, and what `admit` raises.

    The list price stands beside the 0 on the order, so that what follows costs what the seller wrote (W-02).
    """
    quoted = given(choice.price, desk.board.peek(choice.price.currency, pin))
    async with desk.read() as read:
        before = await ordered_already(read, wish, choice, None, quoted, desk.now)
    if before is not None:
        return before.id
    needs = choice.policy.trial_needs if choice.policy is not None else TrialNeeds.NOTHING
    known = _known_by(wish, choice, needs)
    if needs == TrialNeeds.NOTHING:
        await admit()
    async with desk.work() as work:
        days = trial_days(choice.policy, choice.price)
        order = await draft(work, Purpose.PURCHASE, choice, quoted, await buyer_of(work, wish), trial_days=days)
        for kind, identity in known.items():
            await _claim(work, desk.vault, order, kind, identity)
        work.record(
            TrialStarted(
                order_id=order.id, product_id=order.product_id, policy_id=order.policy_id, days=days, needs=needs
            )
        )
        await settle(work, order, how=PaidHow.FREE)
        return order.id


def _known_by(wish: Wish, choice: Choice, needs: TrialNeeds) -> dict[TrialNeeds, str]:
    """All that was told, also what the tier does not ask for: whoever goes on to another tier has one trial still.

    Raises IdentityMissing, and BadRequest for what is no address.
    """
    words = {
        TrialNeeds.EMAIL: "e-mail address: send `buyer_email`",
        TrialNeeds.FINGERPRINT: "device: send its `fingerprint`",
    }
    known: dict[TrialNeeds, str] = {}
    if wish.buyer_email:
        known[TrialNeeds.EMAIL] = mailbox(normal_email(wish.buyer_email))
    if wish.fingerprint:
        known[TrialNeeds.FINGERPRINT] = wish.fingerprint
    if needs in words and needs not in known:
        days = trial_days(choice.policy, choice.price)
        raise IdentityMissing(
            f"{choice.product.name} begins with a trial of {days} days, one for each "
            f"{words[needs]}. To buy it without a trial, send `trial: false`."
        )
    return known


async def _claim(work: Work, vault: Vault, order: Order, kind: TrialNeeds, identity: str) -> None:
    """Of many who ask at once, the index lets one through. Who steals the database has nothing to try guesses on."""
    write = work.insert(Trial).values(
        product_id=order.product_id,
        kind=kind,
        hash=vault.derive(DERIVED_AS, f"{order.product_id} {kind} {identity}".encode()).hex(),
        order_id=order.id,
        created_at=work.now,
    )
    if (await work.session.execute(write.on_conflict_do_nothing().returning(Trial.order_id))).first() is None:
        raise TrialUsed(
            "The trial of this product was used already. If its key is lost, recover it; to buy, send `trial: false`."
        )
