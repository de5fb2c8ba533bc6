"""A provider's message moves the orders of its own connection, once, and no others."""

from sqlalchemy import func, select

from keysat.checkout.tables import OrderStatus
from keysat.payments.nudges import keep
from keysat.payments.provider import Network, Nudge
from keysat.payments.tables import ConnectionId, ConnectionRow, ConnectionStatus, NudgeRow
from tests.checkout.counter import LOOKER, Counter


async def another_connection(counter: Counter) -> ConnectionId:
    """A second account at the same provider."""
    async with counter.store.work(counter.now, LOOKER) as work:
        first = (await work.session.scalars(select(ConnectionRow))).one()
        second = ConnectionRow(
            id=ConnectionId(work.secret_id()),
            provider=first.provider,
            label="Another",
            base_url=first.base_url,
            account_id="another",
            secrets_sealed=first.secrets_sealed,
            network=Network.MAINNET,
            status=ConnectionStatus.ACTIVE,
            connected_at=work.now,
        )
        work.session.add(second)
    return second.id


async def told(counter: Counter, connection_id: ConnectionId, nudge: Nudge) -> int:
    """How many orders are to be looked at for it."""
    async with counter.store.work(counter.now, LOOKER) as work:
        return len(await keep(work, connection_id, nudge))


async def test_one_connections_message_moves_no_order_of_another(counter: Counter) -> None:  # W-30, D-50
    order = await counter.buy()
    nudge = Nudge(await counter.invoice_of(order), "InvoiceExpired", "d1")
    assert await told(counter, await another_connection(counter), nudge) == 0
    assert await told(counter, counter.tills.all()[0].id, nudge) == 1
    await counter.work_off()
    assert (await counter.order(order.id)).status == OrderStatus.AWAITING


async def test_a_message_that_came_already_moves_nothing(counter: Counter) -> None:
    order = await counter.buy()
    nudge = Nudge(await counter.invoice_of(order), "InvoiceSettled", "d1")
    assert [await told(counter, counter.tills.all()[0].id, nudge) for _ in range(2)] == [1, 0]


async def test_a_message_about_a_strangers_invoice_is_kept_and_moves_nothing(counter: Counter) -> None:
    assert await told(counter, counter.tills.all()[0].id, Nudge("theirs", "E" * 200, "d1")) == 0
    async with counter.store.read() as read:
        assert await read.session.scalar(select(func.count()).select_from(NudgeRow)) == 1
