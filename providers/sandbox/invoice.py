"""An invoice of the wallet and what befalls it, as values: no I/O, no clock.

It follows BTCPay Server's `InvoiceWatcher`, because the accidents played here must be those a real shop meets:
expiry matters only while New; what arrives later leaves an invoice Expired, at best with PaidLate; a payment that was
replaced takes Processing back to New without any event; Settled is never looked at again.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Status(StrEnum):
    NEW = "New"
    PROCESSING = "Processing"
    SETTLED = "Settled"
    EXPIRED = "Expired"
    INVALID = "Invalid"


class Extra(StrEnum):
    """BTCPay's `additionalStatus`."""

    NONE = "None"
    PARTIAL = "PaidPartial"
    LATE = "PaidLate"
    OVER = "PaidOver"
    MARKED = "Marked"


class Payment(Struct, frozen=True, kw_only=True):
    minor: int
    seen_at: datetime
    confirmed: bool
    replaced_at: datetime | None = None
    """When an unconfirmed payment is spent elsewhere; None: never."""
    confirmed_at: datetime | None = None
    """When an unconfirmed payment is final by itself; None: never."""


class Invoice(Struct, frozen=True, kw_only=True):
    id: str
    checkout_id: str
    attempt_id: str
    currency: str
    price_minor: int
    description: str
    item_code: str
    return_url: str
    created_at: datetime
    expires_at: datetime
    monitor_until: datetime
    status: Status = Status.NEW
    extra: Extra = Extra.NONE
    payments: tuple[Payment, ...] = ()
    """Those that were not replaced."""
    customer_id: str | None = None
    """Who may save a card here; None: nobody."""

    @property
    def paid_minor(self) -> int:
        return sum(payment.minor for payment in self.payments)

    @property
    def confirmed_minor(self) -> int:
        return sum(payment.minor for payment in self.payments if payment.confirmed)

    @property
    def due_minor(self) -> int:
        return max(0, self.price_minor - self.paid_minor)

    @property
    def last_payment_at(self) -> datetime | None:
        return max((payment.seen_at for payment in self.payments), default=None)

    @property
    def all_confirmed(self) -> bool:
        return bool(self.payments) and all(payment.confirmed for payment in self.payments)

    @property
    def may_change_by_time(self) -> bool:
        return self.status in (Status.NEW, Status.PROCESSING) or not all(p.confirmed for p in self.payments)


class Event(Struct, frozen=True):
    """What the shop is told, by BTCPay's names."""

    type: str
    detail: Mapping[str, bool]


Change = tuple[Invoice, tuple[Event, ...]]


def by_time(invoice: Invoice, now: datetime) -> Change:
    """What the clock alone has done to it, moment by moment, so that it does not matter how often anybody looks."""
    moments = {invoice.expires_at, invoice.monitor_until}
    moments |= {at for payment in invoice.payments for at in (payment.replaced_at, payment.confirmed_at) if at}
    told: tuple[Event, ...] = ()
    for moment in sorted(moment for moment in moments if moment < now):
        invoice, events = _at(invoice, moment)
        told += events
    invoice, events = _at(invoice, now)
    return invoice, told + events


def received(invoice: Invoice, payment: Payment) -> Change:
    """A payment is seen; the invoice is up to date (`by_time`)."""
    late = payment.seen_at >= invoice.expires_at
    seen = Event("InvoiceReceivedPayment", {"afterExpiration": late})
    after = replace(invoice, payments=(*invoice.payments, payment))
    paid, price = after.paid_minor, after.price_minor
    match invoice.status:
        case Status.NEW if paid < price:
            return replace(after, extra=Extra.PARTIAL), (seen,)
        case Status.NEW:
            processing = _enough_seen(after)
            settled, told = _settled_if_confirmed(processing)
            return settled, (seen, Event("InvoiceProcessing", {"overPaid": paid > price}), *told)
        case Status.PROCESSING:
            settled, told = _settled_if_confirmed(_enough_seen(after))
            return settled, (seen, *told)
        case Status.EXPIRED if paid < price:
            return replace(after, extra=invoice.extra if invoice.extra is Extra.LATE else Extra.PARTIAL), (seen,)
        case Status.EXPIRED if invoice.extra is not Extra.LATE:
            return replace(after, extra=Extra.LATE), (seen, Event("InvoicePaidAfterExpiration", {}))
        case _:
            return after, (seen,)


def confirmed(invoice: Invoice) -> Change:
    """Every payment seen so far gets its confirmations, and cannot be replaced any more."""
    return _confirmed(invoice, invoice.payments)


def replaced(invoice: Invoice, now: datetime) -> Change:
    """Every unconfirmed payment is spent elsewhere: nobody is told, as with BTCPay."""
    doomed = tuple(payment if payment.confirmed else replace(payment, replaced_at=now) for payment in invoice.payments)
    return by_time(replace(invoice, payments=doomed), now)


def expired(invoice: Invoice, now: datetime) -> Change:
    """Its time is over now. While money is seen and unconfirmed that matters only if the money goes away again."""
    if invoice.status in (Status.NEW, Status.PROCESSING):
        return by_time(replace(invoice, expires_at=min(invoice.expires_at, now)), now)
    return invoice, ()


def marked(invoice: Invoice, *, settled: bool) -> Change:
    """The shopkeeper says so, whatever money there is. What settled by itself cannot be marked."""
    if invoice.status is Status.SETTLED and invoice.extra is not Extra.MARKED:
        return invoice, ()
    status = Status.SETTLED if settled else Status.INVALID
    if (invoice.status, invoice.extra) == (status, Extra.MARKED):
        return invoice, ()
    detail = {"manuallyMarked": True, "overPaid": False} if settled else {"manuallyMarked": True}
    return replace(invoice, status=status, extra=Extra.MARKED), (Event(f"Invoice{status.value}", detail),)


def _at(invoice: Invoice, now: datetime) -> Change:
    final = [one for one in invoice.payments if one.confirmed_at is not None and one.confirmed_at <= now]
    invoice, told = _confirmed(invoice, final) if final else (invoice, ())
    invoice = _without_replaced(invoice, now)
    if invoice.status is Status.NEW and invoice.expires_at <= now:
        partial = invoice.extra is Extra.PARTIAL
        return replace(invoice, status=Status.EXPIRED), (*told, Event("InvoiceExpired", {"partiallyPaid": partial}))
    if invoice.status is Status.PROCESSING and invoice.monitor_until <= now:
        return replace(invoice, status=Status.INVALID), (*told, Event("InvoiceInvalid", {"manuallyMarked": False}))
    return invoice, told


def _confirmed(invoice: Invoice, final: Collection[Payment]) -> Change:
    payments = tuple(
        replace(payment, confirmed=True, replaced_at=None, confirmed_at=None) if payment in final else payment
        for payment in invoice.payments
    )
    after = replace(invoice, payments=payments)
    return _settled_if_confirmed(after) if after.status is Status.PROCESSING else (after, ())


def _without_replaced(invoice: Invoice, now: datetime) -> Invoice:
    def holds(payment: Payment) -> bool:
        return payment.confirmed or payment.replaced_at is None or payment.replaced_at > now

    kept = tuple(payment for payment in invoice.payments if holds(payment))
    after = replace(invoice, payments=kept)
    if invoice.status is Status.PROCESSING and after.paid_minor < after.price_minor:
        return replace(after, status=Status.NEW, extra=Extra.PARTIAL if kept else Extra.NONE)
    if invoice.status is Status.PROCESSING:
        return _enough_seen(after)
    if invoice.status is Status.NEW and len(kept) < len(invoice.payments):
        return replace(after, extra=Extra.PARTIAL if kept else Extra.NONE)
    return after


def _enough_seen(invoice: Invoice) -> Invoice:
    over = invoice.paid_minor > invoice.price_minor
    return replace(invoice, status=Status.PROCESSING, extra=Extra.OVER if over else Extra.NONE)


def _settled_if_confirmed(invoice: Invoice) -> Change:
    if invoice.confirmed_minor < invoice.price_minor:
        return invoice, ()
    told = Event("InvoiceSettled", {"manuallyMarked": False, "overPaid": invoice.extra is Extra.OVER})
    return replace(invoice, status=Status.SETTLED), (told,)
