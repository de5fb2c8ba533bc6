"""Settle: the one act that makes an order paid, and the only caller of `fulfil`."""

from sqlalchemy.exc import DBAPIError

from keysat.checkout.fulfil import fulfil
from keysat.checkout.happenings import OrderFulfilled, OrderPaid
from keysat.checkout.schedule import FULFIL_AGAIN
from keysat.checkout.tables import ORDER, Order, OrderStatus, Step
from keysat.infra.log import get
from keysat.infra.work import Work
from keysat.kit.errors import KeysatError
from keysat.payments.tables import AttemptId

log = get(__name__)


async def settle(
    work: Work, order: Order, *, how: str, attempt_id: AttemptId | None = None, surplus_minor: int = 0
) -> None:
    """The order is paid: record it and fulfil it, in this transaction.

    `how` is in_time, late, marked (by hand at the provider), by_operator or free. What fulfilling raises leaves the
    order `paid`, on the "needs attention" list and due for another try; of a free order it goes through to the caller.
    Raises IllegalStep for a fulfilled order.
    """
    order.paid_at, order.paid_how, order.paid_attempt_id = work.now, how, attempt_id
    await work.session.flush()
    work.record(OrderPaid(order.id, how, order.listed_currency, order.listed_value, order.amount_sats, surplus_minor))
    if surplus_minor:
        await work.attend(
            "order_overpaid", order.id, f"{surplus_minor} minor units of {order.listed_currency} too much"
        )
    await fulfil_now(work, order)


async def fulfil_now(work: Work, order: Order) -> None:
    """Fulfil a paid order, for the first time or again."""
    try:
        async with work.savepoint():
            license = await fulfil(work, order)
            await work.session.flush()
    except Exception as error:  # the money is here: whatever is wrong with the rest must not lose it
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        if order.status == OrderStatus.DRAFT:  # it is free: there is no money to lose, and the asker can be told
            raise
        await _remember_failure(work, order, error)
        return
    await work.advance(
        ORDER, order, Step.FULFIL, status_at=work.now, license_id=license.id, failure=None, next_look_at=None
    )
    work.record(OrderFulfilled(order.id, str(license.id)))


async def _remember_failure(work: Work, order: Order, error: Exception) -> None:
    code = error.code.code if isinstance(error, KeysatError) else type(error).__name__
    log.error("order.unfulfilled", error, order=str(order.id))
    failures = order.failures + 1
    if order.status != OrderStatus.PAID:
        await work.advance(ORDER, order, Step.PAY, status_at=work.now)
    order.failure, order.failures = code[:64], failures
    order.next_look_at = work.now + (FULFIL_AGAIN.after(failures) or FULFIL_AGAIN.delays[-1])
    await work.session.flush()
    await work.attend("order_unfulfilled", order.id, f"Paid, but no license could be made: {code}")
