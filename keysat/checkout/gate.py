"""The settle gate: the pure function that compares a provider's invoice with what we asked for.

Source: `payment-rails.md` 2.2 and 6.4. Nothing but its SETTLE makes an order paid.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keysat.checkout.tables import PaidHow, Purpose
from keysat.kit.money import Money
from keysat.payments.provider import InvoiceSnapshot, Network, PayState

LATE_WINDOW = timedelta(hours=24)
NO_LATE_WINDOW = timedelta(0)
"""Of a change of tier: its quote hangs on the moment."""


class Ruling(StrEnum):
    """Strongest first: of several attempts for one order the strongest ruling counts."""

    SETTLE = "settle"
    REVIEW = "review"
    PROCESSING = "processing"
    PENDING = "pending"
    HOLD = "hold"  # nothing can be said now: change nothing, look again
    UNDERPAID = "underpaid"
    EXPIRED = "expired"
    INVALID = "invalid"


class Doubt(StrEnum):
    """Why a person must look. `DOUBTS` says it in words."""

    OTHER_INVOICE = "other_invoice"
    OTHER_ACCOUNT = "other_account"
    OTHER_ATTEMPT = "other_attempt"
    OTHER_CURRENCY = "other_currency"
    OTHER_PRICE = "other_price"
    OTHER_NETWORK = "other_network"
    NETWORK_UNKNOWN = "network_unknown"
    NETWORK_DOES_NOT_FIT = "network_does_not_fit"
    SETTLED_WITH_TOO_LITTLE = "settled_with_too_little"
    LATE_WITH_TOO_LITTLE = "late_with_too_little"
    TOO_LATE = "too_late"
    CONFIRMED_TOO_LATE = "confirmed_too_late"
    INVOICE_GONE = "invoice_gone"
    PAYS_NO_PERIOD = "pays_no_period"
    PERIOD_PAID = "period_paid"
    RENEWAL_ON_ITS_WAY = "renewal_on_its_way"
    CHANGE_STALE = "change_stale"
    CHANGE_SUPERSEDED = "change_superseded"
    UNDERPAID = "underpaid"
    MONEY_ON_INVALID = "money_on_invalid"


DOUBTS = {
    Doubt.OTHER_INVOICE: "The provider showed another invoice than the one that was opened.",
    Doubt.OTHER_ACCOUNT: "The invoice belongs to another account.",
    Doubt.OTHER_ATTEMPT: "The invoice does not carry the mark that was given to it.",
    Doubt.OTHER_CURRENCY: "The provider's invoice is not in the currency that was asked.",
    Doubt.OTHER_PRICE: "The provider's invoice is not over the price that was asked.",
    Doubt.OTHER_NETWORK: "The payment was made on another Bitcoin network than the account's.",
    Doubt.NETWORK_UNKNOWN: "The Bitcoin network of the payment is not known.",
    Doubt.NETWORK_DOES_NOT_FIT: "Play money was offered to a live shop, or real money to a sandbox.",
    Doubt.SETTLED_WITH_TOO_LITTLE: "The provider calls it settled, but less than the price was paid. Check the store's "
    "payment tolerance.",
    Doubt.LATE_WITH_TOO_LITTLE: "Money came after the invoice ended, and it is not the full amount.",
    Doubt.TOO_LATE: "The full amount came too long after the invoice ended.",
    Doubt.CONFIRMED_TOO_LATE: "The provider called the payment invalid; it was confirmed afterwards.",
    Doubt.INVOICE_GONE: "Money was seen, and now the provider knows nothing of the invoice.",
    Doubt.PAYS_NO_PERIOD: "Another order took its place, or the subscription ended. Refund it, or accept it for the "
    "next period.",
    Doubt.PERIOD_PAID: "Another order has paid its period: this is a second payment. Refund it, or accept it for the "
    "next period.",
    Doubt.RENEWAL_ON_ITS_WAY: "A payment for the next period of this license was on its way too. When that is through, "
    "refund this one, or accept it: the license then goes to that tier.",
    Doubt.CHANGE_STALE: "The license or its subscription has changed since this change of tier was quoted. Refund it, "
    "or accept it: the license then goes to that tier.",
    Doubt.CHANGE_SUPERSEDED: "Another change of tier took the place of this one. Refund it, or accept it: the license "
    "then goes to that tier.",
    Doubt.MONEY_ON_INVALID: "Somebody marked the invoice invalid, and money was seen on it. Refund it, or accept it.",
    Doubt.UNDERPAID: "Too little was paid before the invoice ended. Refund it, accept it, or ask for the rest.",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What we asked the provider for, and of whom."""

    invoice_id: str
    account_id: str
    echo: str
    price: Money
    network: Network
    takes_mainnet: bool  # a live shop


@dataclass(frozen=True, slots=True)
class Ruled:
    """`how` it was paid, when it settles; `doubt` when a person must look, also where the order just ends."""

    ruling: Ruling
    how: PaidHow = PaidHow.IN_TIME
    doubt: Doubt | None = None
    surplus_minor: int = 0


def late_window(purpose: Purpose) -> timedelta:
    return NO_LATE_WINDOW if purpose is Purpose.TIER_CHANGE else LATE_WINDOW


def rule(asked: Expected, shown: InvoiceSnapshot, late_window: timedelta = LATE_WINDOW) -> Ruled:
    """What the shown invoice means for the order."""
    match shown.state:
        case PayState.SETTLED:
            return _mismatch(asked, shown) or _settled(asked, shown)
        case PayState.EXPIRED if shown.paid_late:
            return _mismatch(asked, shown) or _late(asked, shown, late_window)
        case PayState.EXPIRED if shown.partial:
            return Ruled(Ruling.UNDERPAID)
        case PayState.EXPIRED:
            return Ruled(Ruling.EXPIRED)
        case PayState.INVALID if shown.all_confirmed and not shown.marked_by_hand and _covered(asked, shown):
            return _mismatch(asked, shown) or Ruled(Ruling.REVIEW, doubt=Doubt.CONFIRMED_TOO_LATE)
        case PayState.INVALID if shown.marked_by_hand and shown.paid is not None and shown.paid.minor > 0:
            return Ruled(Ruling.INVALID, doubt=Doubt.MONEY_ON_INVALID)
        case PayState.INVALID:
            return Ruled(Ruling.INVALID)
        case PayState.PROCESSING:
            return Ruled(Ruling.PROCESSING)
        case PayState.PENDING:
            return Ruled(Ruling.PENDING)
        case PayState.UNKNOWN:
            return Ruled(Ruling.HOLD)


def _mismatch(asked: Expected, shown: InvoiceSnapshot) -> Ruled | None:
    """An invoice that is not the one we opened never settles, whoever says so."""
    network = shown.network if shown.network != Network.UNKNOWN else asked.network
    checks = {
        Doubt.OTHER_INVOICE: shown.invoice_id == asked.invoice_id,
        Doubt.OTHER_ACCOUNT: shown.account_id == asked.account_id,
        Doubt.OTHER_ATTEMPT: shown.attempt_id == asked.echo,
        Doubt.OTHER_CURRENCY: shown.price.currency == asked.price.currency,
        Doubt.OTHER_PRICE: shown.price == asked.price,
        Doubt.NETWORK_UNKNOWN: network != Network.UNKNOWN,
        Doubt.OTHER_NETWORK: network == asked.network,
        Doubt.NETWORK_DOES_NOT_FIT: (network == Network.MAINNET) == asked.takes_mainnet,
    }
    for doubt, holds in checks.items():
        if not holds:
            return Ruled(Ruling.REVIEW, doubt=doubt)
    return None


def _settled(asked: Expected, shown: InvoiceSnapshot) -> Ruled:
    if shown.marked_by_hand:
        return Ruled(Ruling.SETTLE, how=PaidHow.MARKED)  # the operator's own decision, for instance cash
    if not _covered(asked, shown):
        return Ruled(Ruling.REVIEW, doubt=Doubt.SETTLED_WITH_TOO_LITTLE)  # a store's payment tolerance
    return Ruled(Ruling.SETTLE, surplus_minor=_surplus(asked, shown))


def _late(asked: Expected, shown: InvoiceSnapshot, window: timedelta) -> Ruled:
    if not shown.all_confirmed:
        return Ruled(Ruling.EXPIRED)  # seen only; it may still be replaced
    if not _covered(asked, shown):
        return Ruled(Ruling.REVIEW, doubt=Doubt.LATE_WITH_TOO_LITTLE)
    if not _within(shown.last_payment_at, shown.expires_at, window):
        return Ruled(Ruling.REVIEW, doubt=Doubt.TOO_LATE)
    return Ruled(Ruling.SETTLE, how=PaidHow.LATE, surplus_minor=_surplus(asked, shown))


def _within(paid_at: datetime | None, expired_at: datetime | None, window: timedelta) -> bool:
    return paid_at is not None and expired_at is not None and paid_at - expired_at <= window


def _covered(asked: Expected, shown: InvoiceSnapshot) -> bool:
    return (
        shown.paid is not None and shown.paid.currency == asked.price.currency and shown.paid.minor >= asked.price.minor
    )


def _surplus(asked: Expected, shown: InvoiceSnapshot) -> int:
    return shown.paid.minor - asked.price.minor if shown.paid is not None else 0


def strongest(rulings: list[Ruled]) -> Ruled:
    """Of the rulings on all attempts of one order, the one that counts."""
    order = list(Ruling)
    return min(rulings, key=lambda ruled: order.index(ruled.ruling), default=Ruled(Ruling.HOLD))
