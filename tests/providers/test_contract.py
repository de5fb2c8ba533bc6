"""The one contract: what every provider must do, whatever stands behind it (`payment-rails.md` 2.2, 6.1-6.4)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keysat.kit.money import Money
from keysat.payments.provider import (
    BadSignature,
    InvoiceSnapshot,
    Malformed,
    Network,
    NotFound,
    OutcomeUnknown,
    PayState,
    Rail,
    Transient,
    Unauthorized,
)
from tests.providers.conftest import CONNECTION_ID, REQUEST, Desk
from tests.providers.contract import in_worlds_with
from tests.providers.worlds import Ability, Accident, World

FIFTEEN_MINUTES = 900
A_DAY = 86400


def flags(seen: InvoiceSnapshot) -> set[str]:
    return {name for name in ("partial", "over", "paid_late", "marked_by_hand") if getattr(seen, name)}


# Connecting


@in_worlds_with()
async def test_connecting_learns_the_account_and_its_network(world: World) -> None:
    connection = await world.provider.connect_with(world.fields, CONNECTION_ID, world.http)
    assert connection.id == CONNECTION_ID
    assert connection.provider == world.provider.name
    assert connection.account_id
    assert connection.label
    assert connection.network is not Network.UNKNOWN
    assert connection.network in world.provider.capabilities.networks


@in_worlds_with()
async def test_what_a_connection_prints_holds_no_secret(desk: Desk) -> None:
    assert desk.connection.secrets
    assert not [secret for secret in desk.connection.secrets.values() if secret in repr(desk.connection)]


@in_worlds_with()
async def test_a_wrong_key_does_not_connect(world: World) -> None:
    with pytest.raises(Unauthorized):
        await world.provider.connect_with({**world.fields, "api_key": "wrong"}, CONNECTION_ID, world.http)


@in_worlds_with(Ability.ACCIDENTS)
async def test_a_provider_that_cannot_be_reached_does_not_connect_and_may_be_tried_again(world: World) -> None:
    world.fail_next(Accident.LOST_BEFORE)
    with pytest.raises(Transient):
        await world.provider.connect_with(world.fields, CONNECTION_ID, world.http)
    await world.provider.connect_with(world.fields, CONNECTION_ID, world.http)


# An invoice and its payment


@in_worlds_with()
@pytest.mark.parametrize("price", [Money("EUR", 4900), Money("EUR", 1), Money("JPY", 5000), Money("SAT", 50516)])
async def test_a_new_invoice_echoes_what_was_asked_for(desk: Desk, price: Money) -> None:
    made = await desk.sell("attempt-7", price)
    assert made.account_id == desk.connection.account_id
    assert made.attempt_id == "attempt-7"
    assert made.price == price
    assert made.state is PayState.PENDING
    assert made.paid in (None, Money(price.currency, 0))
    assert made.created_at == desk.world.now
    assert made.expires_at == desk.world.now + timedelta(seconds=FIFTEEN_MINUTES)
    assert made.checkout_url is not None
    assert made.checkout_url.startswith(("http://", "https://"))


@in_worlds_with()
async def test_looking_at_a_new_invoice_shows_the_same_and_the_network(desk: Desk) -> None:
    made = await desk.sell()
    seen = await desk.look(made)
    assert (seen.invoice_id, seen.attempt_id, seen.price) == (made.invoice_id, "attempt-1", REQUEST.price)
    assert (seen.expires_at, seen.checkout_url) == (made.expires_at, made.checkout_url)
    assert seen.network is desk.connection.network
    assert flags(seen) == set()
    assert not seen.all_confirmed


@in_worlds_with()
@pytest.mark.parametrize("rail", [Rail.ONCHAIN, Rail.LIGHTNING])
async def test_a_full_confirmed_payment_settles(desk: Desk, rail: Rail) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, rail=rail)
    seen = await desk.look(sold)
    assert seen.state is PayState.SETTLED
    assert seen.paid is not None
    assert seen.paid >= seen.price
    assert seen.all_confirmed
    assert seen.last_payment_at == desk.world.now
    assert flags(seen) == set()


@in_worlds_with(Ability.CONFIRM)
async def test_a_payment_is_seen_before_it_settles(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, confirmed=False)
    seen = await desk.look(sold)
    assert seen.state is PayState.PROCESSING
    assert not seen.all_confirmed
    await desk.world.confirm(sold.invoice_id)
    seen = await desk.look(sold)
    assert seen.state is PayState.SETTLED
    assert seen.all_confirmed


@in_worlds_with(Ability.CONFIRM)
async def test_what_was_paid_in_time_may_be_confirmed_after_the_expiry(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, confirmed=False)
    await desk.world.travel(2 * FIFTEEN_MINUTES)
    assert (await desk.look(sold)).state is PayState.PROCESSING
    await desk.world.confirm(sold.invoice_id)
    seen = await desk.look(sold)
    assert seen.state is PayState.SETTLED
    assert not seen.paid_late


@in_worlds_with(Ability.CONFIRM)
async def test_a_payment_that_is_never_confirmed_ends_as_invalid(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, confirmed=False)
    await desk.world.travel(FIFTEEN_MINUTES + A_DAY + 60)
    seen = await desk.look(sold)
    assert seen.state is PayState.INVALID
    assert not seen.marked_by_hand


@in_worlds_with()
async def test_an_invoice_that_nobody_pays_expires(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.travel(FIFTEEN_MINUTES + 1)
    seen = await desk.look(sold)
    assert seen.state is PayState.EXPIRED
    assert flags(seen) == set()


@in_worlds_with(Ability.PARTS)
async def test_a_part_is_not_enough_and_the_rest_completes_it(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, percent=40)
    seen = await desk.look(sold)
    assert seen.state is PayState.PENDING
    assert seen.partial
    assert seen.paid is not None
    assert Money("EUR", 0) < seen.paid < seen.price
    await desk.world.pay(sold.invoice_id, percent=60)
    seen = await desk.look(sold)
    assert seen.state is PayState.SETTLED
    assert not seen.over


@in_worlds_with(Ability.PARTS)
async def test_a_part_that_is_not_completed_expires_as_partial(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, percent=40)
    await desk.world.travel(FIFTEEN_MINUTES + 1)
    seen = await desk.look(sold)
    assert seen.state is PayState.EXPIRED
    assert seen.partial
    assert not seen.paid_late


@in_worlds_with(Ability.PARTS)
async def test_too_much_settles_once_and_says_so(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, percent=150)
    seen = await desk.look(sold)
    assert seen.state is PayState.SETTLED
    assert seen.over
    assert seen.paid is not None
    assert seen.paid > seen.price


@in_worlds_with(Ability.LATE, Ability.CONFIRM)
async def test_late_money_leaves_it_expired_and_is_good_only_when_confirmed(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.travel(FIFTEEN_MINUTES + 60)
    await desk.world.pay(sold.invoice_id, confirmed=False)
    seen = await desk.look(sold)
    assert (seen.state, seen.paid_late, seen.all_confirmed) == (PayState.EXPIRED, True, False)
    assert seen.last_payment_at == desk.world.now
    await desk.world.confirm(sold.invoice_id)
    seen = await desk.look(sold)
    assert (seen.state, seen.paid_late, seen.all_confirmed) == (PayState.EXPIRED, True, True)
    assert seen.paid is not None
    assert seen.paid >= seen.price


@in_worlds_with(Ability.LATE, Ability.PARTS)
async def test_a_late_part_is_partial_and_not_paid_late(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.travel(FIFTEEN_MINUTES + 60)
    await desk.world.pay(sold.invoice_id, percent=40)
    seen = await desk.look(sold)
    assert (seen.state, seen.partial, seen.paid_late) == (PayState.EXPIRED, True, False)


@in_worlds_with(Ability.REPLACE)
async def test_a_replaced_payment_takes_processing_back(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, confirmed=False)
    await desk.world.replace(sold.invoice_id)
    seen = await desk.look(sold)
    assert seen.state is PayState.PENDING
    assert flags(seen) == set()
    assert not seen.all_confirmed
    await desk.world.pay(sold.invoice_id)
    assert (await desk.look(sold)).state is PayState.SETTLED


@in_worlds_with(Ability.REPLACE)
async def test_a_payment_replaced_after_the_expiry_leaves_it_expired(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id, confirmed=False)
    await desk.world.travel(2 * FIFTEEN_MINUTES)
    await desk.world.replace(sold.invoice_id)
    seen = await desk.look(sold)
    assert (seen.state, seen.paid_late, seen.all_confirmed) == (PayState.EXPIRED, False, False)


@in_worlds_with(Ability.REPLACE, Ability.LATE)
async def test_a_late_payment_that_is_replaced_is_not_confirmed(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.travel(FIFTEEN_MINUTES + 60)
    await desk.world.pay(sold.invoice_id, confirmed=False)
    await desk.world.replace(sold.invoice_id)
    seen = await desk.look(sold)
    assert seen.state is PayState.EXPIRED
    assert not seen.all_confirmed


@in_worlds_with(Ability.MARK)
async def test_what_somebody_marked_says_so(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.travel(FIFTEEN_MINUTES + 60)
    await desk.world.mark(sold.invoice_id, settled=True)
    seen = await desk.look(sold)
    assert (seen.state, seen.marked_by_hand, seen.all_confirmed) == (PayState.SETTLED, True, False)
    assert seen.paid in (None, Money("EUR", 0))
    await desk.world.mark(sold.invoice_id, settled=False)
    seen = await desk.look(sold)
    assert (seen.state, seen.marked_by_hand) == (PayState.INVALID, True)


# Finding


@in_worlds_with()
async def test_an_attempt_finds_its_own_invoices_and_no_others(desk: Desk) -> None:
    first = await desk.sell("attempt-1")
    await desk.sell("attempt-2")
    assert [found.invoice_id for found in await desk.till.find_by_attempt("attempt-1")] == [first.invoice_id]
    assert list(await desk.till.find_by_attempt("attempt-3")) == []
    assert list(await desk.till.find_by_attempt("attempt")) == []


@in_worlds_with()
async def test_the_sweep_sees_what_was_made_since(desk: Desk) -> None:
    await desk.sell("attempt-1")
    await desk.world.travel(3600)
    since = desk.world.now
    second, third = await desk.sell("attempt-2"), await desk.sell("attempt-3")
    seen = [found.invoice_id async for found in desk.till.changed_since(since)]
    assert sorted(seen) == sorted([second.invoice_id, third.invoice_id])
    attempts = {found.attempt_id async for found in desk.till.changed_since(since - timedelta(hours=2))}
    assert attempts >= {"attempt-1", "attempt-2", "attempt-3"}


@in_worlds_with()
@pytest.mark.parametrize("invoice_id", ["nobody", "../stores", "a/b", "a?b=c", "%2e%2e", "ä"])
async def test_an_invoice_that_is_not_there_is_not_found(desk: Desk, invoice_id: str) -> None:
    with pytest.raises(NotFound):
        await desk.till.get_invoice(invoice_id)


# Accidents


@in_worlds_with(Ability.ACCIDENTS)
async def test_a_create_whose_answer_is_lost_can_be_found_again(desk: Desk) -> None:
    desk.world.fail_next(Accident.LOST_AFTER)
    with pytest.raises(OutcomeUnknown):
        await desk.sell("attempt-1")
    (found,) = await desk.till.find_by_attempt("attempt-1")
    assert found.price == REQUEST.price


@in_worlds_with(Ability.ACCIDENTS)
async def test_a_create_that_never_arrived_made_nothing(desk: Desk) -> None:
    desk.world.fail_next(Accident.LOST_BEFORE)
    with pytest.raises(Transient):
        await desk.sell("attempt-1")
    assert list(await desk.till.find_by_attempt("attempt-1")) == []
    assert (await desk.sell("attempt-1")).attempt_id == "attempt-1"


@in_worlds_with(Ability.ACCIDENTS)
@pytest.mark.parametrize("accident", [Accident.BROKEN, Accident.BUSY])
async def test_a_create_that_failed_over_there_may_be_tried_again(desk: Desk, accident: Accident) -> None:
    desk.world.fail_next(accident)
    with pytest.raises(Transient):
        await desk.sell()


@in_worlds_with(Ability.ACCIDENTS)
async def test_a_create_with_an_unreadable_answer_is_never_taken_for_a_refusal(desk: Desk) -> None:
    desk.world.fail_next(Accident.GARBAGE)
    with pytest.raises((OutcomeUnknown, Malformed)):
        await desk.sell()


@in_worlds_with(Ability.ACCIDENTS)
@pytest.mark.parametrize(
    ("accident", "error"),
    [
        (Accident.LOST_BEFORE, Transient),
        (Accident.LOST_AFTER, Transient),
        (Accident.BUSY, Transient),
        (Accident.BROKEN, Transient),
        (Accident.GARBAGE, Malformed),
        (Accident.LOCKED_OUT, Unauthorized),
    ],
)
async def test_each_accident_of_a_look_says_what_may_be_done_next(
    desk: Desk, accident: Accident, error: type[Exception]
) -> None:
    sold = await desk.sell()
    desk.world.fail_next(accident)
    with pytest.raises(error):
        await desk.look(sold)
    assert (await desk.look(sold)).state is PayState.PENDING


@in_worlds_with(Ability.ACCIDENTS)
async def test_a_busy_provider_says_when_to_come_back(desk: Desk) -> None:
    sold = await desk.sell()
    desk.world.fail_next(Accident.BUSY)
    with pytest.raises(Transient) as raised:
        await desk.look(sold)
    assert raised.value.retry_after_seconds == 7


# Webhooks


@in_worlds_with(Ability.WEBHOOKS)
async def test_a_payment_nudges_and_each_message_has_its_own_id(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id)
    nudges = desk.nudges()
    assert nudges
    assert {nudge.invoice_id for nudge in nudges} == {sold.invoice_id}
    assert len({nudge.delivery_id for nudge in nudges}) == len(nudges)
    assert not any(nudge.is_redelivery for nudge in nudges)


@in_worlds_with(Ability.WEBHOOKS)
async def test_registering_again_does_not_double_the_messages(desk: Desk) -> None:
    first, second = await desk.sell("attempt-1"), await desk.sell("attempt-2")
    await desk.world.pay(first.invoice_id)
    once = len(desk.world.messages)
    again = await desk.till.ensure_webhook(desk.world.webhook_url)
    assert again.webhook_id == desk.connection.webhook_id
    assert again.secrets == desk.connection.secrets
    await desk.world.pay(second.invoice_id)
    assert len(desk.world.messages) == 2 * once
    assert {nudge.invoice_id for nudge in desk.nudges()} == {first.invoice_id, second.invoice_id}


@in_worlds_with(Ability.WEBHOOKS)
async def test_a_webhook_whose_registration_was_forgotten_is_replaced(desk: Desk) -> None:
    """As after a crash between registering and storing."""
    forgetful = replace(desk.connection, webhook_id=None, secrets={"api_key": desk.connection.secrets["api_key"]})
    mended = await desk.world.provider.open(forgetful, desk.world.http).ensure_webhook(desk.world.webhook_url)
    new_desk = Desk(desk.world, mended, desk.world.provider.open(mended, desk.world.http))
    sold = await new_desk.sell()
    await new_desk.world.pay(sold.invoice_id)
    assert new_desk.nudges()  # all are signed with the new secret


@in_worlds_with(Ability.WEBHOOKS)
async def test_a_message_that_was_touched_is_not_believed(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id)
    message = desk.world.messages[0]
    with pytest.raises(BadSignature):
        desk.till.parse_webhook(message.headers, message.body + b" ")
    with pytest.raises(BadSignature):
        desk.till.parse_webhook({}, message.body)


@in_worlds_with(Ability.WEBHOOKS)
@pytest.mark.parametrize("secret", ["", "another"])
async def test_a_message_under_another_secret_is_not_believed(desk: Desk, secret: str) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id)
    message = desk.world.messages[0]
    other = replace(desk.connection, secrets={**desk.connection.secrets, "webhook_secret": secret})
    with pytest.raises(BadSignature):
        desk.world.provider.open(other, desk.world.http).parse_webhook(message.headers, message.body)


# Health and rates


@in_worlds_with()
async def test_a_good_account_is_healthy(desk: Desk) -> None:
    health = await desk.till.health()
    assert health.reachable
    assert health.authorized
    assert health.synced is not False
    assert not health.missing
    assert not health.excess
    assert health.webhook_ok is not False
    assert not health.warnings


@in_worlds_with(Ability.ACCIDENTS)
async def test_health_tells_unreachable_from_locked_out(desk: Desk) -> None:
    desk.world.fail_next(Accident.LOST_BEFORE)
    assert not (await desk.till.health()).reachable
    desk.world.fail_next(Accident.LOCKED_OUT)
    health = await desk.till.health()
    assert (health.reachable, health.authorized) == (True, False)


@in_worlds_with(Ability.RATES)
async def test_a_rate_is_a_price_of_one_bitcoin_or_nothing(desk: Desk) -> None:
    rate = await desk.till.btc_rate("USD")
    assert rate is not None
    assert rate > 1000
    assert await desk.till.btc_rate("XOF") is None
