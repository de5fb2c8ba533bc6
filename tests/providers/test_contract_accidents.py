"""The one contract, second part: finding again, accidents, webhooks, health (`payment-rails.md` 6.4-6.6)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from keysat.payments.provider import (
    BadSignature,
    CredentialGone,
    Malformed,
    NoSuchId,
    OutcomeUnknown,
    PayState,
    Transient,
)
from tests.providers.conftest import REQUEST, Desk
from tests.providers.contract import in_worlds_with
from tests.providers.worlds import Ability, Accident

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
    with pytest.raises(NoSuchId):
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
        (Accident.LOCKED_OUT, CredentialGone),
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


@in_worlds_with(Ability.SIGNED)
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


@in_worlds_with(Ability.SIGNED)
async def test_a_webhook_whose_registration_was_forgotten_is_replaced(desk: Desk) -> None:
    """As after a crash between registering and storing."""
    forgetful = replace(desk.connection, webhook_id=None, secrets={"api_key": desk.connection.secrets["api_key"]})
    mended = await desk.world.provider.open(forgetful, desk.world.http).ensure_webhook(desk.world.webhook_url)
    new_desk = Desk(desk.world, mended, desk.world.provider.open(mended, desk.world.http))
    sold = await new_desk.sell()
    await new_desk.world.pay(sold.invoice_id)
    assert new_desk.nudges()  # all are signed with the new secret


@in_worlds_with(Ability.SIGNED)
async def test_a_message_that_was_touched_is_not_believed(desk: Desk) -> None:
    sold = await desk.sell()
    await desk.world.pay(sold.invoice_id)
    message = desk.world.messages[0]
    with pytest.raises(BadSignature):
        desk.till.parse_webhook(message.headers, message.body + b" ")
    with pytest.raises(BadSignature):
        desk.till.parse_webhook({}, message.body)


@in_worlds_with(Ability.SIGNED)
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
