"""Writing an order down, whatever it is for: the only place where one begins."""

from dataclasses import dataclass
from uuid import UUID

from keysat.catalog.tiers import Choice
from keysat.checkout.happenings import OrderOpened
from keysat.checkout.quote import Quote
from keysat.checkout.schedule import FIRST_LOOK, MONITOR_FOR, OPEN_FOR, WATCH_AFTER_MONITOR
from keysat.checkout.tables import Order, OrderId, OrderStatus, Purpose
from keysat.checkout.wish import Wish
from keysat.customers.accounts import keep_note, remember
from keysat.infra.work import Work
from keysat.kit.ids import support_reference
from keysat.payments.provider import Rail
from keysat.payments.rates.board import RateEvidence


@dataclass(frozen=True, slots=True)
class Buyer:
    """What the one who asks said of themselves and of the way to pay."""

    customer_id: UUID | None = None
    note: str | None = None
    redirect_url: str | None = None
    rail: Rail | None = None
    browser_hash: str | None = None
    """Of the buy page's cookie."""


async def buyer_of(work: Work, wish: Wish) -> Buyer:
    """With the customer's row written. Raises BadRequest."""
    customer_id = await remember(work, wish.buyer_email or None, wish.buyer_note or None)
    return Buyer(customer_id, wish.buyer_note, wish.redirect_url, wish.rail, wish.browser_hash)


async def draft(
    work: Work,
    purpose: Purpose,
    choice: Choice,
    quoted: Quote,
    buyer: Buyer,
    *,
    license_id: UUID | None = None,
    trial_days: int | None = None,
) -> Order:
    """An order that has no invoice yet, written and told. `license_id`: of the one that it is to change."""
    rate = quoted.rate
    order = Order(
        id=OrderId(work.new_id()),
        invoice_id=work.token(160),
        support_reference=support_reference(work.chance),
        purpose=purpose,
        status=OrderStatus.DRAFT,
        product_id=choice.product.id,
        policy_id=choice.policy.id if choice.policy else None,
        offer_id=choice.offer.id if choice.offer else None,
        customer_id=buyer.customer_id,
        license_id=license_id,
        period_count=choice.period.count if choice.period else None,
        period_unit=choice.period.unit if choice.period else None,
        trial_days=trial_days,
        listed_currency=quoted.price.currency,
        listed_value=quoted.price.minor,
        base_value=quoted.base.minor,
        amount_sats=quoted.amount_sats,
        base_sats=quoted.base_sats,
        exchange_rate_centibps=rate.rate.centibps if rate else None,
        exchange_rate_source=rate.source if rate else None,
        exchange_rate_evidence=_evidence(rate) if rate else None,
        redirect_url=buyer.redirect_url,
        rail=buyer.rail,
        buyer_hash=buyer.browser_hash,
        created_at=work.now,
        status_at=work.now,
        expires_at=work.now + OPEN_FOR,
        watch_until=work.now + MONITOR_FOR + WATCH_AFTER_MONITOR,
        next_look_at=work.now + FIRST_LOOK,
        look_failures=0,
        nudges=0,
        failures=0,
    )
    work.session.add(order)
    await work.session.flush()
    if buyer.customer_id is not None and buyer.note:
        await keep_note(work, order.id, buyer.customer_id, buyer.note)
    work.record(
        OrderOpened(
            order_id=order.id,
            purpose=order.purpose,
            listed_currency=order.listed_currency,
            listed_value=order.listed_value,
            amount_sats=order.amount_sats,
        )
    )
    return order


def _evidence(rate: RateEvidence) -> list[dict[str, str]]:
    return [{"source": name, "price": str(price), "at": at.isoformat()} for name, price, at in rate.sources]
