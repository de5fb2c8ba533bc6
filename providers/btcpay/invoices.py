"""Between BTCPay's invoice and ours: pure (`payment-rails.md` 1.4, 1.5, 4.3, 6.3)."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from urllib.parse import urlsplit

from msgspec import UNSET

from keysat.kit.currencies import SAT, exponent
from keysat.kit.errors import BadRequest
from keysat.kit.money import SATS_PER_BTC, Money, is_countable
from keysat.payments.provider import Connection, InvoiceRequest, InvoiceSnapshot, Malformed, PayState, Rail, Rejected
from providers.btcpay import wire
from providers.btcpay.networks import network_of

SATS = "SATS"
"""What BTCPay calls ISO-less SAT."""

EXPONENTS = {"ARS": 0, "COP": 0}
"""Where BTCPay's Currencies.json has fewer decimals than ISO 4217."""

METHODS = {Rail.ONCHAIN: "BTC-CHAIN", Rail.LIGHTNING: "BTC-LN"}
_WITH_DESTINATION = frozenset({"BTC-CHAIN", "BTC-LN", "BTC", "BTC-LightningNetwork", "BTC_LightningLike"})  # 2.x, 1.x

_STATES = {
    "New": PayState.PENDING,
    "Processing": PayState.PROCESSING,
    "Settled": PayState.SETTLED,
    "Expired": PayState.EXPIRED,
    "Invalid": PayState.INVALID,
}


SPEED_POLICY = "MediumSpeed"
"""One confirmation. Sent with every invoice, whatever the store is set to, and never HighSpeed: an unconfirmed
transaction can be replaced, and BTCPay would stay at Settled (2.1)."""


def amount_text(price: Money) -> tuple[str, str]:
    """Amount and currency as BTCPay takes them; Rejected when BTCPay has too few decimals for this price."""
    if price.currency == SAT:
        return str(price.minor), SATS
    surplus = exponent(price.currency) - EXPONENTS.get(price.currency, exponent(price.currency))
    if not surplus:
        return price.decimal_text(), price.currency
    whole, rest = divmod(price.minor, 10**surplus)
    if rest:
        raise Rejected(f"BTCPay knows no decimals of {price.currency}: {price.decimal_text()} cannot be asked for")
    return str(whole), price.currency


def body_of(request: InvoiceRequest) -> wire.NewInvoice:
    methods = tuple(METHODS[rail] for rail in sorted(request.rails) if rail in METHODS)
    if request.rails and not methods:
        raise Rejected(f"BTCPay does not take {', '.join(sorted(request.rails))}")
    amount, currency = amount_text(request.price)
    return wire.NewInvoice(
        amount=amount,
        currency=currency,
        metadata=wire.Metadata(request.attempt_id, request.description, request.item_code),
        checkout=wire.Checkout(
            speed_policy=SPEED_POLICY,
            expiration_minutes=_minutes(request.expires_in_seconds),
            monitoring_minutes=_minutes(request.monitor_seconds),
            redirect_url=request.return_url or UNSET,
            redirect_automatically=True if request.return_url else UNSET,
            payment_methods=methods or UNSET,
        ),
        additional_search_terms=(request.attempt_id,),
    )


def snapshot_of(
    invoice: wire.Invoice, methods: Sequence[wire.PaymentMethod] | None, connection: Connection
) -> InvoiceSnapshot:
    """`methods`: None where they were not asked for; then network, confirmations and due stay unknown.

    Raises Malformed for an invoice without a price, or in a currency we do not know.
    """
    price = _price(invoice)
    seen = methods or ()
    payments = [payment for method in seen for payment in method.payments]
    received = [payment.received_date for payment in payments if payment.received_date is not None]
    extra = invoice.additional_status
    order_id = (invoice.metadata or {}).get("orderId")
    return InvoiceSnapshot(
        invoice_id=invoice.id,
        account_id=invoice.store_id or connection.account_id,
        attempt_id=order_id if isinstance(order_id, str) else None,
        price=price,
        state=_STATES.get(invoice.status, PayState.UNKNOWN),
        raw_status=f"{invoice.status}/{extra}",
        paid=_paid(invoice, methods, price.currency),
        paid_late=extra == "PaidLate",
        partial=extra == "PaidPartial",
        over=extra == "PaidOver",
        marked_by_hand=extra == "Marked",
        all_confirmed=bool(payments) and all(payment.status == "Settled" for payment in payments),
        created_at=wire.moment(invoice.created_time),
        expires_at=wire.moment(invoice.expiration_time),
        monitor_until=wire.moment(invoice.monitoring_expiration),
        last_payment_at=wire.moment(max(received, default=None)),
        checkout_url=buyers_link(invoice.checkout_link, connection) if invoice.checkout_link else None,
        network=network_of(_destinations(seen)),
        due_sats=_due_sats(seen),
    )


def buyers_link(link: str, connection: Connection) -> str:
    """The checkout page at the address the buyer can reach: BTCPay takes the host from *our* request (1.4)."""
    try:
        found = urlsplit(link)
    except ValueError as error:
        raise Malformed("BTCPay gave a checkout link that is no URL") from error
    if found.scheme not in ("http", "https") or not found.netloc:
        raise Malformed("BTCPay gave a checkout link that is not http")
    public = urlsplit(connection.public_url or connection.base_url)
    return found._replace(scheme=public.scheme, netloc=public.netloc).geturl()


def _minutes(seconds: int) -> int:
    return max(1, -(-seconds // 60))


def _price(invoice: wire.Invoice) -> Money:
    if invoice.amount is None or invoice.type == "TopUp":
        raise Malformed(f"BTCPay's invoice {invoice.id} has no price")
    try:
        return Money.of(SAT if invoice.currency == SATS else invoice.currency, invoice.amount)
    except BadRequest as error:
        raise Malformed(f"BTCPay's invoice {invoice.id}: {error.message}") from error


def _paid(invoice: wire.Invoice, methods: Sequence[wire.PaymentMethod] | None, currency: str) -> Money | None:
    """Rounded down: BTCPay rounds what is due up to a whole sat, so a full payment is never less than the price."""
    if invoice.paid_amount is not None:
        return _floored(currency, invoice.paid_amount, Decimal(1))
    for method in methods or ():  # before 2.1; each method gives the total of all, in its own coin
        if method.total_paid is not None and method.rate is not None:
            fee = method.payment_method_fee or method.legacy_fee or Decimal(0)
            return _floored(currency, max(Decimal(0), method.total_paid - fee), method.rate)
    return None


def _floored(currency: str, amount: Decimal, rate: Decimal) -> Money | None:
    if not (is_countable(amount) and is_countable(rate)):
        return None
    try:
        return Money(currency, floor(Fraction(amount) * Fraction(rate) * 10 ** exponent(currency)))
    except BadRequest:
        return None


def _due_sats(methods: Sequence[wire.PaymentMethod]) -> int | None:
    dues = [method.due for method in methods if method.coin == "BTC" and method.due is not None]
    countable = [due for due in dues if is_countable(due)]
    return max(0, ceil(Fraction(min(countable)) * SATS_PER_BTC)) if countable else None


def _destinations(methods: Sequence[wire.PaymentMethod]) -> list[str]:
    return [method.destination for method in methods if method.kind in _WITH_DESTINATION and method.destination]
