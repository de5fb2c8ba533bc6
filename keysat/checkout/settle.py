"""Settle: the one act that makes an order paid, and the only caller of `fulfil`."""

from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

from keysat.checkout.codes import redeem
from keysat.checkout.fulfil import fulfil
from keysat.checkout.gate import Doubt
from keysat.checkout.happenings import OrderFulfilled, OrderPaid
from keysat.checkout.schedule import fulfil_again
from keysat.checkout.tables import ORDER, Order, OrderStatus, PaidHow, Step
from keysat.customers.accounts import adopt_note
from keysat.infra.attention import clear
from keysat.infra.log import get
from keysat.infra.work import Work
from keysat.kit.errors import KeysatError
from keysat.kit.money import Money
from keysat.payments.tables import Attempt, AttemptId

log = get(__name__)

UNFULFILLED = "order_unfulfilled"  # on the "needs attention" list


async def settle(
    work: Work, order: Order, *, how: PaidHow, attempt_id: AttemptId | None = None, surplus_minor: int = 0
) -> None:
    """The order is paid: record it and fulfil it, in this transaction.

    What fulfilling raises leaves the order `paid`, on the "needs attention" list and due for another try; of a free
    order it goes through to the caller.
    Raises IllegalStep for a fulfilled order.
    """
    work.record(
        OrderPaid(
            order_id=order.id,
            purpose=order.purpose,
            product_id=order.product_id,
            policy_id=order.policy_id,
            customer_id=order.customer_id,
            how=how,
            listed_currency=order.listed_currency,
            listed_value=order.listed_value,
            amount_sats=order.amount_sats,
            surplus_minor=surplus_minor,
        )
    )
    if surplus_minor and attempt_id:
        surplus = Money((await work.get(Attempt, attempt_id)).price_currency, surplus_minor)
        words = f"{surplus.decimal_text()} {surplus.currency} too much was paid for order {order.support_reference}."
        await work.attend("order_overpaid", order.id, words)
    if order.status not in (OrderStatus.DRAFT, OrderStatus.AWAITING, OrderStatus.PROCESSING):
        await clear(work, order.id, *(f"order_{doubt}" for doubt in Doubt))  # whatever was doubted, it is a sale now
    if how is not PaidHow.FREE and order.customer_id is not None:
        await adopt_note(work, order.id, order.customer_id)
    await fulfil_now(work, order, paid_at=work.now, paid_how=how, paid_attempt_id=attempt_id)


async def fulfil_now(work: Work, order: Order, **paid: object) -> None:
    """Fulfil a paid order, for the first time (then `paid` says when and how, and is written with it) or again."""
    try:
        async with work.savepoint():
            license = await fulfil(work, order)
            await redeem(work, order, license)
            await work.session.flush()
    except Exception as error:  # the money is here: whatever is wrong with the rest must not lose it
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        if order.status == OrderStatus.DRAFT:  # it is free: there is no money to lose, and the asker can be told
            raise
        await _remember_failure(work, order, error, paid)
        return
    if order.failure is not None:
        await clear(work, order.id, UNFULFILLED)
    done = {"status_at": work.now, "license_id": license.id, "failure": None, "next_look_at": None}
    await work.advance(ORDER, order, Step.FULFIL, **done, **paid)
    work.record(OrderFulfilled(order.id, license.id))


async def _remember_failure(work: Work, order: Order, error: Exception, paid: Mapping[str, object]) -> None:
    code = error.code.code if isinstance(error, KeysatError) else type(error).__name__
    log.error("order.unfulfilled", error, order=str(order.id))
    failures = order.failures + 1
    if order.status != OrderStatus.PAID:
        await work.advance(ORDER, order, Step.PAY, status_at=work.now, **paid)
    order.failure, order.failures = code[:64], failures
    order.next_look_at = fulfil_again(failures, work.now)
    await work.session.flush()
    await work.attend(
        UNFULFILLED, order.id, f"Order {order.support_reference} is paid, but no license could be made: {code}"
    )
