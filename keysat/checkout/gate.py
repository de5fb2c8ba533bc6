"""The settle gate: the pure function that compares a provider's invoice with what we asked for.

Source: `payment-rails.md` 2.2 and 6.4. Nothing but its SETTLE makes an order paid.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keysat.kit.money import Money
from keysat.payments.provider import InvoiceSnapshot, Network, PayState

LATE_WINDOW = timedelta(hours=24)


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


@dataclass(frozen=True, slots=True)
class Asked:
    """What we asked the provider for, and of whom."""

    invoice_id: str
    account_id: str
    echo: str
    price: Money
    network: Network
    takes_mainnet: bool  # a live shop


@dataclass(frozen=True, slots=True)
class Ruled:
    """`how` tells how it was paid (in_time, late, marked); `reason` why a person must look."""

    ruling: Ruling
    how: str = "in_time"
    reason: str = ""
    surplus_minor: int = 0


def rule(asked: Asked, shown: InvoiceSnapshot, late_window: timedelta = LATE_WINDOW) -> Ruled:
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
            return _mismatch(asked, shown) or Ruled(Ruling.REVIEW, reason="confirmed_after_the_provider_gave_up")
        case PayState.INVALID:
            return Ruled(Ruling.INVALID)
        case PayState.PROCESSING:
            return Ruled(Ruling.PROCESSING)
        case PayState.PENDING:
            return Ruled(Ruling.PENDING)
        case PayState.UNKNOWN:
            return Ruled(Ruling.HOLD)


def _mismatch(asked: Asked, shown: InvoiceSnapshot) -> Ruled | None:
    """An invoice that is not the one we opened never settles, whoever says so."""
    network = shown.network if shown.network != Network.UNKNOWN else asked.network
    checks = {
        "other_invoice": shown.invoice_id == asked.invoice_id,
        "other_account": shown.account_id == asked.account_id,
        "other_attempt": shown.attempt_id == asked.echo,
        "other_currency": shown.price.currency == asked.price.currency,
        "other_price": shown.price == asked.price,
        "network_unknown": network != Network.UNKNOWN,
        "other_network": network == asked.network,
        "network_does_not_fit_the_shop": (network == Network.MAINNET) == asked.takes_mainnet,
    }
    for reason, holds in checks.items():
        if not holds:
            return Ruled(Ruling.REVIEW, reason=reason)
    return None


def _settled(asked: Asked, shown: InvoiceSnapshot) -> Ruled:
    if shown.marked_by_hand:
        return Ruled(Ruling.SETTLE, how="marked")  # the operator's own decision, for instance cash
    if not _covered(asked, shown):
        return Ruled(Ruling.REVIEW, reason="settled_with_too_little")  # a store's payment tolerance
    return Ruled(Ruling.SETTLE, surplus_minor=_surplus(asked, shown))


def _late(asked: Asked, shown: InvoiceSnapshot, window: timedelta) -> Ruled:
    if not shown.all_confirmed:
        return Ruled(Ruling.EXPIRED)  # seen only; it may still be replaced
    if not _covered(asked, shown):
        return Ruled(Ruling.REVIEW, reason="late_with_too_little")
    if not _within(shown.last_payment_at, shown.expires_at, window):
        return Ruled(Ruling.REVIEW, reason="too_late")
    return Ruled(Ruling.SETTLE, how="late", surplus_minor=_surplus(asked, shown))


def _within(paid_at: datetime | None, expired_at: datetime | None, window: timedelta) -> bool:
    return paid_at is not None and expired_at is not None and paid_at - expired_at <= window


def _covered(asked: Asked, shown: InvoiceSnapshot) -> bool:
    return (
        shown.paid is not None and shown.paid.currency == asked.price.currency and shown.paid.minor >= asked.price.minor
    )


def _surplus(asked: Asked, shown: InvoiceSnapshot) -> int:
    return shown.paid.minor - asked.price.minor if shown.paid is not None else 0


def strongest(rulings: list[Ruled]) -> Ruled:
    """Of the rulings on all attempts of one order, the one that counts."""
    order = list(Ruling)
    return min(rulings, key=lambda ruled: order.index(ruled.ruling), default=Ruled(Ruling.HOLD))
