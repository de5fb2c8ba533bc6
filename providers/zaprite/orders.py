"""Between Zaprite's order and our invoice: pure (`payment-rails.md` 3, 4.3, 6.3)."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address
from math import floor
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.money import Money, is_countable
from keysat.payments.provider import Connection, InvoiceRequest, InvoiceSnapshot, Malformed, Network, PayState
from providers.zaprite import wire

SATS = "BTC"
"""What Zaprite calls SAT: of BTC its smallest unit is the sat. Other exponents are those of ISO 4217."""

LABEL_MAX = 200
"""Characters, never bytes: nothing is cut in the middle of one (D-49)."""

CONFIRMATIONS_TAKE = timedelta(hours=24)
"""`paidAt` of an on-chain payment is taken to be its confirmation: what was sent in time may be paid so much later."""

_STATES = {  # a word that is not here changes nothing and calls a person (D-27)
    "PENDING": PayState.PENDING,
    "UNDERPAID": PayState.PENDING,
    "PROCESSING": PayState.PROCESSING,
    "PAID": PayState.SETTLED,
    "COMPLETE": PayState.SETTLED,
    "OVERPAID": PayState.SETTLED,
    "ABANDONED": PayState.EXPIRED,
}
_TEST_PLUGIN = re.compile(r"(?:^|[^a-z])test(?:$|[^a-z])")


def body_of(request: InvoiceRequest, contact_id: str | None) -> wire.NewOrder:
    """`contact_id`: whose card may be kept."""
    expires_at = request.asked_at + timedelta(seconds=request.expires_in_seconds)
    return wire.NewOrder(
        amount=request.price.minor,
        currency=SATS if request.price.currency == SAT else request.price.currency,
        external_uniq_id=request.attempt_id,
        label=request.description[:LABEL_MAX],
        redirect_url=request.return_url or UNSET,
        metadata=wire.Metadata(
            request.item_code[:LABEL_MAX], request.asked_at, expires_at + timedelta(seconds=request.monitor_seconds)
        ),
        expires_at=expires_at,
        contact_id=contact_id or UNSET,
        allow_save_payment_profile=True if contact_id else UNSET,
    )


def snapshot_of(order: wire.Order, at: datetime | None, connection: Connection) -> InvoiceSnapshot:
    """`at`: when Zaprite answered. Whether an order's time ends it over there is not known: here it does.

    Raises Malformed for an order without a whole amount, in a currency we do not know, or with a strange page to pay.
    """
    price, seen = _price(order), order.transactions or ()
    confirmed = [one for one in seen if one.status == "CONFIRMED"]
    coming = [one for one in seen if one.status == "PENDING"]
    paid = None if order.transactions is None else _sum(confirmed, price.currency)
    monitor_until, asked_at = _our_moment(order, "monitorUntil"), _our_moment(order, "askedAt")
    state = _STATES.get(order.status, PayState.UNKNOWN)
    by_hand = order.status == "COMPLETE" and order.transactions is not None and not (confirmed or coming)
    if state is PayState.PENDING and _is_over(order.expires_at, at):
        state = PayState.EXPIRED
    if state is PayState.PROCESSING and _is_over(monitor_until, at):
        state = PayState.INVALID
    if state is PayState.SETTLED and not by_hand and _is_late(order, confirmed):
        state = PayState.EXPIRED
    covered = paid is not None and paid >= price
    return InvoiceSnapshot(
        invoice_id=order.id,
        account_id=order.org_id,
        attempt_id=order.external_uniq_id,
        price=price,
        state=state,
        raw_status=order.status,
        paid=paid,
        paid_late=state is PayState.EXPIRED and (covered or _STATES.get(order.status) is PayState.SETTLED),
        partial=order.status == "UNDERPAID" or (paid is not None and paid.minor > 0 and not covered),
        over=order.status == "OVERPAID",
        marked_by_hand=by_hand,
        all_confirmed=bool(confirmed) and not coming,
        created_at=asked_at,
        expires_at=order.expires_at,
        monitor_until=monitor_until,
        last_payment_at=order.paid_at,
        checkout_url=buyers_link(order.checkout_url, connection) if order.checkout_url else None,
        network=Network.SANDBOX if is_play_money(order) else connection.network,
        customer_ref=order.contact.id if order.contact is not None else None,
    )


def is_play_money(order: wire.Order) -> bool:
    """Paid through the "Test Payment" plugin of a sandbox organization: the order itself names no network."""
    return any(_TEST_PLUGIN.search((one.plugin_slug or "").lower()) for one in order.transactions or ())


def buyers_link(link: str, connection: Connection) -> str:
    """As it stands, when it leads to Zaprite's own pages (`pay.` beside `api.`). Raises Malformed."""
    home = urlsplit(connection.base_url)
    try:
        found = urlsplit(link)
        host = (found.hostname or "").lower()
    except ValueError as error:
        raise Malformed("Zaprite gave a checkout link that is no URL") from error
    if found.scheme not in {"https", home.scheme} or not (host == home.hostname or host.endswith(_domain(connection))):
        raise Malformed("Zaprite gave a checkout link that leads elsewhere")
    return link


def _domain(connection: Connection) -> str:
    """`.zaprite.com` of `api.zaprite.com`; of an address without a domain nothing that a host could end with."""
    host = urlsplit(connection.base_url).hostname or ""
    _, _, parent = host.partition(".")
    return f".{parent}" if "." in parent and not _is_address(host) else "\n"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _price(order: wire.Order) -> Money:
    total = order.total_amount
    if not is_countable(total) or total != total.to_integral_value():
        raise Malformed(f"Zaprite's order {order.id} has no whole amount")
    try:
        return Money(SAT if order.currency == SATS else order.currency, int(total))
    except BadRequest as error:
        raise Malformed(f"Zaprite's order {order.id}: {error.message}") from error


def _sum(transactions: Sequence[wire.Transaction], currency: str) -> Money:
    """Rounded down once. What is told in another currency, or not at all, does not count."""
    try:
        return Money(currency, floor(sum((_amount(one, currency) for one in transactions), Fraction(0))))
    except BadRequest as error:
        raise Malformed(f"Zaprite tells of more money than there is: {error.message}") from error


def _amount(transaction: wire.Transaction, currency: str) -> Fraction:
    theirs = SATS if currency == SAT else currency
    amount = transaction.amount_in_order_currency
    if amount is None or transaction.order_currency not in (None, theirs):
        amount = transaction.amount if transaction.currency == theirs else None
    return Fraction(amount) if amount is not None and _is_money(amount) else Fraction(0)


def _is_money(amount: Decimal) -> bool:
    return is_countable(amount) and amount > 0


def _is_over(end: datetime | None, at: datetime | None) -> bool:
    return end is not None and at is not None and at >= end


def _is_late(order: wire.Order, confirmed: Sequence[wire.Transaction]) -> bool:
    if order.paid_at is None or order.expires_at is None:
        return False
    on_chain = any(one.method == "BITCOIN" for one in confirmed)
    return order.paid_at > order.expires_at + (CONFIRMATIONS_TAKE if on_chain else timedelta(0))


def _our_moment(order: wire.Order, name: str) -> datetime | None:
    """As we wrote it down. Anything else is another tool's order."""
    try:
        return msgspec.convert((order.metadata or {}).get(name), wire.Moment)
    except msgspec.ValidationError:
        return None
