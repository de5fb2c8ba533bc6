"""Showing a browser the order that it has already, instead of opening a second one."""

from datetime import datetime, timedelta

from sqlalchemy import and_, select

from keysat.catalog.tiers import Choice
from keysat.catalog.views import DiscountView
from keysat.checkout.desk import Desk
from keysat.checkout.quote import Quote
from keysat.checkout.tables import Order, OrderId, OrderStatus, PaidHow, Redemption
from keysat.checkout.wish import Wish
from keysat.customers.accounts import normal_email, remember
from keysat.customers.tables import Customer
from keysat.infra.work import Read
from keysat.payments.tables import Attempt

GIVEN_LATELY = timedelta(minutes=10)
"""For so long a second click is taken for the first one, where nothing is to be paid."""


async def ordered_already(
    read: Read, wish: Wish, choice: Choice, discount: DiscountView | None, quoted: Quote, now: datetime
) -> Order | None:
    """What this browser opened for the same thing and can still pay, or was given just now: shown again.

    What was given is another's when it went to another address, or to none: people share browsers. Raises BadRequest.
    """
    if not wish.buyer_token:
        return None
    address = normal_email(wish.buyer_email) if wish.buyer_email else None
    same_price = Order.base_value == choice.price.minor
    if not quoted.is_in_sats:  # else the worth follows the rate
        same_price &= Order.listed_value == quoted.price.minor
    can_be_paid = and_(
        Order.status == OrderStatus.AWAITING,
        Order.rail == wish.rail,
        Order.expires_at > now,
        Order.amount_sats.is_not(None),
        Attempt.checkout_url.is_not(None),
    )
    was_given = and_(
        Order.status == OrderStatus.FULFILLED,
        Order.paid_how == PaidHow.FREE,
        Order.created_at > now - GIVEN_LATELY,
        Customer.email_normal == address,
    )
    return await read.session.scalar(
        select(Order)
        .join(Attempt, Attempt.order_id == Order.id, isouter=True)
        .join(Redemption, Redemption.order_id == Order.id, isouter=True)
        .join(Customer, Customer.id == Order.customer_id, isouter=True)
        .where(
            Order.buyer_hash == wish.browser_hash,
            Order.product_id == choice.product.id,
            Order.policy_id == (choice.policy.id if choice.policy else None),
            Order.offer_id == (choice.offer.id if choice.offer else None),
            Redemption.discount_id == (discount.id if discount else None),
            Order.listed_currency == quoted.price.currency,
            same_price,
            was_given if quoted.is_free else can_be_paid,
        )
        .order_by(Order.created_at.desc())
        .limit(1)
    )


async def readdress(desk: Desk, order_id: OrderId, wish: Wish) -> None:
    """Who comes back to an open order with another address has mended a slip: the receipt goes to the new one."""
    if not wish.buyer_email:
        return
    async with desk.work() as work:
        order = await work.hold(Order, order_id)
        if order.status == OrderStatus.AWAITING:
            order.customer_id = await remember(work, wish.buyer_email)
