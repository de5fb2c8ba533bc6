"""Connecting and disconnecting: nothing that a buyer may still pay is lost, and no secret can be read."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import select

from keysat.checkout.tables import OrderStatus
from keysat.infra.house import Mode
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.states import IllegalStep
from keysat.payments.connections import connect
from keysat.payments.disconnect import disconnect
from keysat.payments.tables import Attempt, ConnectionId, ConnectionRow
from keysat.payments.tills import Tills
from tests.checkout.counter import Counter
from tests.conftest import TESTER
from tests.fakes.btcpay import API_KEY


async def connected(counter: Counter, mode: Mode = Mode.LIVE) -> ConnectionId:
    return await connect(replace(counter.office(), mode=mode), "btcpay", counter.fake.fields)


async def disconnected(counter: Counter) -> ConnectionId:
    connection_id = counter.tills.all()[0].id
    async with counter.store.work(counter.now, TESTER) as work:
        await disconnect(work, connection_id)
    await counter.tills.refresh()
    return connection_id


async def test_what_was_opened_before_the_disconnect_is_still_paid(counter: Counter) -> None:  # D-10
    order = await counter.buy()
    await disconnected(counter)
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order))
    await counter.travel(minutes=2)
    assert (await counter.order(order.id)).status == OrderStatus.FULFILLED


async def test_an_account_is_revived_with_all_that_was_opened_through_it(counter: Counter) -> None:  # W-27, D-10
    before = await counter.buy()
    old = await disconnected(counter)
    new = await connected(counter)
    await counter.tills.refresh()
    after = await counter.buy()
    async with counter.store.read() as read:
        attempts = (await read.session.scalars(select(Attempt))).all()
    assert {attempt.order_id: attempt.connection_id for attempt in attempts} == {before.id: new, after.id: new}
    assert new == old
    counter.deaf = True
    for order in (before, after):
        await counter.fake.pay(await counter.invoice_of(order))
        await counter.travel(minutes=2)
        assert (await counter.order(order.id)).status == OrderStatus.FULFILLED


async def test_an_account_is_connected_once_and_disconnected_once(counter: Counter) -> None:
    with pytest.raises(Conflict, match="connected already"):
        await connected(counter)
    old = await disconnected(counter)
    with pytest.raises(IllegalStep):
        async with counter.store.work(counter.now, TESTER) as work:
            await disconnect(work, old)


async def test_of_two_who_connect_an_account_at_once_one_is_told_that_it_is_connected(counter: Counter) -> None:
    await disconnected(counter)
    made = await asyncio.gather(connected(counter), connected(counter), return_exceptions=True)
    [refused] = [one for one in made if isinstance(one, BaseException)]
    assert isinstance(refused, Conflict)
    await counter.tills.refresh()
    assert [till.sells for till in counter.tills.all()] == [True]


async def test_real_money_does_not_connect_to_a_sandbox(counter: Counter) -> None:
    await disconnected(counter)
    with pytest.raises(BadRequest, match="play money only"):
        await connected(counter, Mode.SANDBOX)


async def test_what_another_process_changed_is_taken_up(counter: Counter) -> None:  # D-56
    elsewhere = Tills(counter.store, counter.vault, counter.http)
    await elsewhere.refresh()
    assert (await elsewhere.pick(None)).sells
    old = await disconnected(counter)
    new = await connected(counter)
    assert new == old
    assert (await elsewhere.pick(None)).id == new


async def test_credentials_are_sealed_in_the_database(counter: Counter) -> None:  # D-40
    secrets = counter.tills.all()[0].connection.secrets
    assert secrets["api_key"] == API_KEY
    async with counter.store.read() as read:
        row = (await read.session.scalars(select(ConnectionRow))).one()
    kept = repr({name: value for name, value in vars(row).items() if not name.startswith("_")})
    assert [name for name, secret in secrets.items() if secret in kept] == []


async def test_a_network_or_an_amount_that_does_not_fit_never_settles_whoever_tells_of_it(counter: Counter) -> None:
    """The webhook is signed, the credential is ours, and the provider says that it is settled."""
    counter.fake.network = "regtest"
    on_another_network = await counter.buy()
    await counter.pay(on_another_network)
    counter.fake.network = "mainnet"
    cheaper = await counter.buy()
    counter.fake.invoices[await counter.invoice_of(cheaper)].amount = Decimal(1)
    await counter.pay(cheaper)
    for order in (on_another_network, cheaper):
        assert (await counter.order(order.id)).status == OrderStatus.REVIEW
    assert await counter.attention() == ["order_other_network", "order_other_price"]
    assert await counter.licenses() == 0
