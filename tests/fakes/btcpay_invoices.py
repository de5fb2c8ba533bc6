"""The fake's invoices and their state machine, after BTCPay's InvoiceWatcher (`payment-rails.md` 2.1): no I/O."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

CONFIRMATIONS = {"HighSpeed": 0, "MediumSpeed": 1, "LowMediumSpeed": 2, "LowSpeed": 6}
METHODS = {"onchain": "BTC-CHAIN", "lightning": "BTC-LN"}
LINKS = {"BTC-CHAIN": "bitcoin:{destination}?amount={due}", "BTC-LN": "lightning:{destination}"}
PREFIXES = {
    "mainnet": ("bc1q", "lnbc"),
    "testnet": ("tb1q", "lntb"),
    "signet": ("tb1q", "lntbs"),
    "regtest": ("bcrt1q", "lnbcrt"),
}
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

Event = tuple[str, dict[str, Any]]
"""A webhook's type and its extra fields."""


@dataclass
class Payment:
    id: str
    method: str
    sats: int
    received_at: datetime
    confirmed: bool = False
    replaced: bool = False  # spent elsewhere: no longer accounted


@dataclass
class Invoice:
    id: str
    store_id: str
    amount: Decimal
    currency: str
    rate: Decimal  # price of one BTC in the currency
    metadata: dict[str, Any]
    checkout: dict[str, Any]
    created_at: datetime
    expires_at: datetime
    monitor_until: datetime
    destinations: dict[str, str]  # by payment method
    status: str = "New"
    additional: str = "None"
    payments: list[Payment] = field(default_factory=list[Payment])
    told_late: bool = False

    @property
    def price_sats(self) -> int:
        """Rounded up, as BTCPay rounds what is due."""
        return ceil(Fraction(self.amount) * 10**8 / Fraction(self.rate))

    @property
    def accounted(self) -> list[Payment]:
        return [payment for payment in self.payments if not payment.replaced]

    @property
    def seen_sats(self) -> int:
        return sum(payment.sats for payment in self.accounted)

    @property
    def paid_amount(self) -> Decimal:
        return (Decimal(self.seen_sats) * self.rate / 10**8).quantize(Decimal("1.00000000"))

    def watch(self, now: datetime) -> list[Event]:
        """Moves on as far as time and payments allow; what it raises, in order."""
        events: list[Event] = []
        while (step := self._step(now)) is not None:
            events += step
        return events

    def due_moments(self) -> list[datetime]:
        """When the passing of time alone will change something."""
        return {"New": [self.expires_at], "Processing": [self.monitor_until]}.get(self.status, [])

    def mark(self, status: str) -> list[Event]:
        allowed = {"Settled": ("New", "Processing", "Expired", "Invalid"), "Invalid": ("New", "Processing", "Expired")}
        if status not in allowed or (self.status not in allowed[status] and self.additional != "Marked"):
            raise ValueError(f"{self.status} cannot be marked {status}")
        self.status, self.additional = status, "Marked"
        if status == "Settled":
            return [("InvoiceSettled", {"manuallyMarked": True, "overPaid": False})]
        return [("InvoiceInvalid", {"manuallyMarked": True})]

    def _step(self, now: datetime) -> list[Event] | None:
        """One change of status, or None when there is nothing (more) to change."""
        if self.status == "New":
            return self._step_new(now)
        if self.status == "Processing":
            return self._step_processing(now)
        if self.status == "Expired" and self.additional != "Marked":
            return self._step_expired()
        return None

    def _step_new(self, now: datetime) -> list[Event] | None:
        if self._enough(self.accounted):
            over = self.seen_sats > self.price_sats
            self.status, self.additional = "Processing", "PaidOver" if over else "None"
            return [("InvoiceProcessing", {"overPaid": over})]
        partial = self.seen_sats > 0
        self.additional = "PaidPartial" if partial else "None"
        if now < self.expires_at:
            return None
        self.status = "Expired"
        expired: list[Event] = [("InvoiceExpired", {"partiallyPaid": partial})]
        return [*expired, ("InvoiceExpiredPaidPartial", {})] if partial else expired

    def _step_processing(self, now: datetime) -> list[Event] | None:
        if not self._enough(self.accounted):
            self.status, self.additional = "New", "None"  # replaced or double spent: no webhook tells
            return []
        over = self.seen_sats > self.price_sats
        self.additional = "PaidOver" if over else "None"
        if self._enough([payment for payment in self.accounted if self._is_settled(payment)]):
            self.status = "Settled"
            return [("InvoiceSettled", {"manuallyMarked": False, "overPaid": over})]
        if now >= self.monitor_until:
            self.status = "Invalid"
            return [("InvoiceInvalid", {"manuallyMarked": False})]
        return None

    def _step_expired(self) -> list[Event] | None:
        if self.told_late:
            return None  # PaidLate is not taken back when the payment is replaced
        if self._enough(self.accounted):
            self.additional, self.told_late = "PaidLate", True
            return [("InvoicePaidAfterExpiration", {})]
        self.additional = "PaidPartial" if self.seen_sats > 0 else "None"
        return None

    def _enough(self, payments: list[Payment]) -> bool:
        tolerance = Fraction(str(self.checkout.get("paymentTolerance") or 0)) / 100
        return bool(payments) and sum(payment.sats for payment in payments) >= self.price_sats * (1 - tolerance)

    def _is_settled(self, payment: Payment) -> bool:
        return payment.confirmed or self.checkout.get("speedPolicy") == "HighSpeed"

    def payment_json(self, payment: Payment) -> dict[str, Any]:
        return {
            "id": payment.id,
            "receivedDate": unix(payment.received_at),
            "value": btc(payment.sats),
            "fee": "0",
            "status": "Settled" if self._is_settled(payment) else "Processing",
            "destination": self.destinations[payment.method],
        }

    def json(self) -> dict[str, Any]:
        marks = {"New": ["Settled", "Invalid"], "Processing": ["Settled", "Invalid"], "Expired": ["Settled", "Invalid"]}
        return {
            "id": self.id,
            "storeId": self.store_id,
            "amount": str(self.amount),
            "paidAmount": str(self.paid_amount),
            "currency": self.currency,
            "type": "Standard",
            "createdTime": unix(self.created_at),
            "expirationTime": unix(self.expires_at),
            "monitoringExpiration": unix(self.monitor_until),
            "status": self.status,
            "additionalStatus": self.additional,
            "availableStatusesForManualMarking": marks.get(self.status, []),
            "archived": False,
            "metadata": self.metadata,
            "checkout": self.checkout,
        }

    def methods_json(self) -> list[dict[str, Any]]:
        total, due = btc(self.seen_sats), btc(self.price_sats - self.seen_sats)
        return [
            {
                "paymentMethodId": method,
                "currency": "BTC",
                "destination": destination,
                "paymentLink": f"lightning:{destination}"
                if method == "BTC-LN"
                else f"bitcoin:{destination}?amount={due}",
                "rate": str(self.rate),
                "paymentMethodPaid": btc(sum(paid.sats for paid in self.accounted if paid.method == method)),
                "totalPaid": total,
                "due": due,
                "amount": btc(self.price_sats),
                "paymentMethodFee": "0",
                "payments": [self.payment_json(paid) for paid in self.accounted if paid.method == method],
                "activated": True,
                "additionalData": {},
            }
            for method, destination in self.destinations.items()
        ]


def destinations_of(invoice_id: str, methods: list[str], network: str, price_sats: int) -> dict[str, str]:
    data = "".join(_BECH32[byte % 32] for byte in hashlib.sha512(invoice_id.encode()).digest())
    address, bolt11 = PREFIXES[network]
    known = {"BTC-CHAIN": address + data[:38], "BTC-LN": f"{bolt11}{price_sats * 10}n1{data}"}
    return {method: known[method] for method in methods}


def btc(sats: int) -> str:
    return f"{Decimal(sats) / 10**8:.8f}"


def unix(moment: datetime) -> int:
    return int(moment.timestamp())


def minutes(value: Any, otherwise: int) -> timedelta:
    return timedelta(minutes=float(otherwise if value is None else value))
