"""The one contract, third part: cards that are saved and charged again (`payment-rails.md` 3, 6.1)."""

from dataclasses import replace

import pytest

from keysat.kit.money import Money
from keysat.payments.provider import (
    Declined,
    InvoiceSnapshot,
    NoSuchId,
    OutcomeUnknown,
    PayState,
    Rail,
    Rejected,
    SavedProfile,
    Unsupported,
)
from tests.providers.conftest import Desk
from tests.providers.contract import WORLDS, in_worlds_with
from tests.providers.worlds import Ability, Accident, PlayCard

A_MINUTE = 60
TWO_WEEKS = 14 * 86400
WITHOUT_CARDS = [entry for entry in WORLDS if Ability.CARDS not in entry.abilities]


async def subscribe(desk: Desk, card: PlayCard, attempt_id: str = "first") -> tuple[InvoiceSnapshot, SavedProfile]:
    """A first period, paid with a card that the buyer lets us keep; the list is read when it has caught up."""
    first = await desk.till.create_invoice(replace(desk.request, attempt_id=attempt_id, may_save_card=True))
    await desk.world.pay_by_card(first.invoice_id, card)
    await desk.world.travel(A_MINUTE)
    paid = await desk.look(first)
    assert paid.state is PayState.SETTLED
    assert paid.customer_ref is not None
    (saved,) = await desk.till.list_profiles(paid.customer_ref)
    return paid, saved


async def renew(desk: Desk, first: InvoiceSnapshot) -> InvoiceSnapshot:
    """The next period's invoice, for the same customer."""
    wanted = replace(desk.request, attempt_id="second", may_save_card=True, customer_ref=first.customer_ref)
    return await desk.till.create_invoice(wanted)


@in_worlds_with(Ability.CARDS)
async def test_a_saved_card_is_found_by_the_attempt_it_paid(desk: Desk) -> None:
    assert desk.world.provider.capabilities.saved_profiles
    first, saved = await subscribe(desk, PlayCard.WORKS)
    (found,) = await desk.till.find_by_attempt("first")
    assert found.customer_ref == first.customer_ref
    assert (saved.source_attempt_id, saved.rail) == ("first", Rail.CARD)
    assert saved.label
    assert saved.expires_at is not None
    assert saved.expires_at > desk.world.now
    assert (await renew(desk, first)).customer_ref == first.customer_ref


@in_worlds_with(Ability.CARDS)
async def test_nothing_is_saved_unless_the_shop_offers_it(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay_by_card(sold.invoice_id, PlayCard.WORKS)
    assert (await desk.look(sold)).customer_ref is None


@in_worlds_with(Ability.CARDS)
async def test_a_charge_settles_the_invoice_and_tells_as_any_payment(desk: Desk) -> None:
    first, saved = await subscribe(desk, PlayCard.WORKS)
    second = await renew(desk, first)
    told = len(desk.nudges())
    charged = await desk.till.charge_saved(second.invoice_id, saved.id)
    assert charged.invoice_id == second.invoice_id
    seen = await desk.look(second)
    assert (seen.state, seen.paid, seen.all_confirmed) == (PayState.SETTLED, second.price, True)
    await desk.world.travel(0)
    assert {nudge.invoice_id for nudge in desk.nudges()[told:]} == {second.invoice_id}


@in_worlds_with(Ability.CARDS)
@pytest.mark.parametrize(
    ("card", "after"), [(PlayCard.SLOW, PayState.SETTLED), (PlayCard.TAKEN_BACK, PayState.PENDING)]
)
async def test_a_charge_that_was_answered_is_not_paid_yet(desk: Desk, card: PlayCard, after: PayState) -> None:
    first, saved = await subscribe(desk, card)
    second = await renew(desk, first)
    assert (await desk.till.charge_saved(second.invoice_id, saved.id)).state is PayState.PROCESSING
    assert not (await desk.look(second)).all_confirmed
    await desk.world.travel(A_MINUTE)
    assert (await desk.look(second)).state is after


@in_worlds_with(Ability.CARDS)
@pytest.mark.parametrize(("card", "wait"), [(PlayCard.DECLINES, 0), (PlayCard.EXPIRES, TWO_WEEKS)])
async def test_a_declined_card_leaves_the_invoice_to_its_link(desk: Desk, card: PlayCard, wait: int) -> None:
    first, saved = await subscribe(desk, card)
    await desk.world.travel(wait)
    second = await renew(desk, first)
    with pytest.raises(Declined, match=r"declined"):
        await desk.till.charge_saved(second.invoice_id, saved.id)
    seen = await desk.look(second)
    assert (seen.state, seen.paid) == (PayState.PENDING, Money("EUR", 0))
    await desk.world.pay(second.invoice_id)
    assert (await desk.look(second)).state is PayState.SETTLED


@in_worlds_with(Ability.CARDS, Ability.ACCIDENTS)
@pytest.mark.parametrize("accident", [Accident.LOST_AFTER, Accident.BROKEN, Accident.GARBAGE])
async def test_a_charge_without_an_answer_is_looked_up_and_not_repeated(desk: Desk, accident: Accident) -> None:
    first, saved = await subscribe(desk, PlayCard.WORKS)
    second = await renew(desk, first)
    desk.world.fail_next(accident)
    with pytest.raises(OutcomeUnknown):
        await desk.till.charge_saved(second.invoice_id, saved.id)
    done = accident is Accident.LOST_AFTER
    assert (await desk.look(second)).state is (PayState.SETTLED if done else PayState.PENDING)


@in_worlds_with(Ability.CARDS)
async def test_the_provider_does_not_guard_against_a_second_charge(desk: Desk) -> None:
    """So it is the caller who must: see `charge_saved`."""
    first, saved = await subscribe(desk, PlayCard.WORKS)
    second = await renew(desk, first)
    for _ in range(2):
        await desk.till.charge_saved(second.invoice_id, saved.id)
    assert (await desk.look(second)).paid == Money("EUR", 2 * 4900)


@in_worlds_with(Ability.CARDS)
async def test_only_a_saved_card_of_the_same_customer_is_charged(desk: Desk) -> None:
    first, saved = await subscribe(desk, PlayCard.WORKS)
    stranger = await desk.till.create_invoice(replace(desk.request, attempt_id="other", may_save_card=True))
    with pytest.raises(Rejected):
        await desk.till.charge_saved(stranger.invoice_id, saved.id)
    with pytest.raises(NoSuchId):
        await desk.till.charge_saved((await renew(desk, first)).invoice_id, "nothing")
    with pytest.raises(NoSuchId):
        await desk.till.charge_saved("nothing", saved.id)
    assert (await desk.look(stranger)).state is PayState.PENDING


@pytest.mark.parametrize("world", WITHOUT_CARDS, indirect=True, ids=[entry.name for entry in WITHOUT_CARDS])
async def test_who_keeps_no_cards_says_so(desk: Desk) -> None:
    assert not desk.world.provider.capabilities.saved_profiles
    with pytest.raises(Unsupported):
        await desk.till.list_profiles("somebody")
    with pytest.raises(Unsupported):
        await desk.till.charge_saved("an invoice", "a card")
