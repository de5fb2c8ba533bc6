"""What a visitor of the checkout page can let happen, as one table: the last word of the path, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from providers.sandbox.invoice import Change, Invoice, Payment, Status, confirmed, expired, marked, received

SURPLUS_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Moment:
    now: datetime
    double_spend_seconds: int
    """How long the payment of /double-spend is seen before it is gone."""


Accident = Callable[[Invoice, Moment], Change]


def pay(invoice: Invoice, moment: Moment) -> Change:
    """By Lightning: final at once. A Lightning invoice can be paid only once, so a second press does nothing."""
    if invoice.status is Status.SETTLED or (invoice.status is Status.EXPIRED and invoice.due_minor == 0):
        return invoice, ()
    return _confirmed_payment(invoice, invoice.due_minor or invoice.price_minor, moment)


def underpay(invoice: Invoice, moment: Moment) -> Change:
    """Half of the price, or half of what is left of it; of one last minor unit there is no half."""
    half = (invoice.due_minor or invoice.price_minor) // 2
    return _confirmed_payment(invoice, half, moment) if half else (invoice, ())


def overpay(invoice: Invoice, moment: Moment) -> Change:
    surplus = max(1, invoice.price_minor * SURPLUS_PERCENT // 100)
    return _confirmed_payment(invoice, invoice.due_minor + surplus, moment)


def expire(invoice: Invoice, moment: Moment) -> Change:
    return expired(invoice, moment.now)


def pay_late(invoice: Invoice, moment: Moment) -> Change:
    over, told_before = expired(invoice, moment.now)
    paid, told = pay(over, moment)
    return paid, (*told_before, *told)


def pay_onchain(invoice: Invoice, moment: Moment) -> Change:
    """Seen in the mempool; `confirm` is the block."""
    minor = invoice.due_minor or invoice.price_minor
    return received(invoice, Payment(minor=minor, seen_at=moment.now, confirmed=False))


def double_spend(invoice: Invoice, moment: Moment) -> Change:
    gone = moment.now + timedelta(seconds=moment.double_spend_seconds)
    minor = invoice.due_minor or invoice.price_minor
    return received(invoice, Payment(minor=minor, seen_at=moment.now, confirmed=False, replaced_at=gone))


def confirm(invoice: Invoice, _moment: Moment) -> Change:
    return confirmed(invoice)


def mark_settled(invoice: Invoice, _moment: Moment) -> Change:
    return marked(invoice, settled=True)


def mark_invalid(invoice: Invoice, _moment: Moment) -> Change:
    return marked(invoice, settled=False)


ACCIDENTS: dict[str, Accident] = {
    "pay": pay,
    "underpay": underpay,
    "overpay": overpay,
    "pay-late": pay_late,
    "expire": expire,
    "double-spend": double_spend,
    "pay-onchain": pay_onchain,
    "confirm": confirm,
    "mark-settled": mark_settled,
    "mark-invalid": mark_invalid,
}


def _confirmed_payment(invoice: Invoice, minor: int, moment: Moment) -> Change:
    return received(invoice, Payment(minor=minor, seen_at=moment.now, confirmed=True))
