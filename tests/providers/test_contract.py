"""The one contract, first part: connecting, an invoice and what befalls it (`payment-rails.md` 2.2, 6.1-6.4)."""

from datetime import timedelta

import pytest

from keysat.kit.money import Money
from keysat.payments.provider import (
    CredentialGone,
    InvoiceSnapshot,
    Network,
    PayState,
    Rail,
    Transient,
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
    with pytest.raises(CredentialGone):
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
