"""What the fake remembers: stores, keys, invoices, webhooks, and the moment it is (`payment-rails.md` 1, 2)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from keysat.kit.clock import Clock
from tests.fakes import btcpay_contract
from tests.fakes.btcpay_hooks import Hook, Post
from tests.fakes.btcpay_invoices import METHODS, Event, Invoice, Payment, destinations_of, minutes, unix
from tests.fakes.served import Accident, HandClock, Mishap

STORE = "9yT1kE4vQ2mX7sR5"
API_KEY = "5d41402abc4b2a76b9719d911017c592aaaa0000"
LEAST_PRIVILEGES = (
    "btcpay.store.cancreateinvoice",
    "btcpay.store.canviewinvoices",
    "btcpay.store.webhooks.canmodifywebhooks",
    "btcpay.store.canviewstoresettings",
    "btcpay.store.canmodifyinvoices",
)
IMPLIES = {
    "btcpay.store.canviewstoresettings": ("btcpay.store.canviewinvoices",),
    "btcpay.store.canmodifyinvoices": ("btcpay.store.canviewinvoices", "btcpay.store.cancreateinvoice"),
    "btcpay.store.canmodifystoresettings": LEAST_PRIVILEGES,
    "unrestricted": LEAST_PRIVILEGES,
}
RATES = {
    code: Decimal(text)
    for code, text in {
        "USD": "97000", "EUR": "90000", "GBP": "76000", "CHF": "86000", "JPY": "14500000",
        "ARS": "98000000", "COP": "390000000", "BHD": "36570.123",
    }.items()
}  # fmt: skip


@dataclass
class Store:
    id: str
    name: str = "Test shop"
    speed_policy: str = "MediumSpeed"
    payment_tolerance: int = 0
    anyone_can_create_invoice: bool = False
    archived: bool = False
    methods: list[str] = field(default_factory=lambda: list(METHODS.values()))  # empty: it cannot make an invoice

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "defaultCurrency": "USD",
            "invoiceExpiration": 900,
            "monitoringExpiration": 86400,
            "speedPolicy": self.speed_policy,
            "paymentTolerance": self.payment_tolerance,
            "anyoneCanCreateInvoice": self.anyone_can_create_invoice,
            "lazyPaymentMethods": False,
            "archived": self.archived,
        }


class Server:
    """The state, and what people and time do to it. All that changes it ends with `tick()`, which delivers."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        network: str = "mainnet",
        base_url: str = "http://btcpay.test",
        webhook_transport: httpx.AsyncBaseTransport | None = None,
        version: str = "2.4.1",
    ) -> None:
        self.clock: Clock = clock or HandClock()
        self.network = network
        self.base_url = base_url
        self.version = version
        self.synced = True
        self.known_events: set[str] | None = None  # None: any word is taken
        self.stores = {STORE: Store(STORE)}
        self.keys: dict[str, set[str]] = {}
        self.invoices: dict[str, Invoice] = {}
        self.rates = dict(RATES)
        self.post = Post(webhook_transport, self.next_id)
        self.mishaps: list[Mishap] = []
        self.requests: list[tuple[str, str]] = []
        self.violations: list[str] = []
        self._made = 0
        self.keys[API_KEY] = {f"{permission}:{STORE}" for permission in LEAST_PRIVILEGES}

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def next_id(self, kind: str) -> str:
        self._made += 1
        return hashlib.sha256(f"{kind}/{self._made}".encode()).hexdigest()[:22]

    # People at BTCPay

    def make_key(self, *permissions: str, store: str | None = STORE) -> str:
        """`store=None`: the permissions stand as they are written."""
        key = self.next_id("key")
        self.keys[key] = {f"{permission}:{store}" if store else permission for permission in permissions}
        return key

    def revoke_key(self, key: str = API_KEY) -> None:
        self.keys.pop(key, None)

    def fail_next(self, accident: Accident | str, *, method: str = "", path: str = "", times: int = 1) -> None:
        """The next call, or the next with this method and with `path` in its path."""
        self.mishaps += [Mishap(Accident(accident), method, path)] * times

    def invoice(self, attempt_id: str) -> Invoice:
        """The one (last) invoice whose orderId this is."""
        return [found for found in self.invoices.values() if found.metadata.get("orderId") == attempt_id][-1]

    async def mark(self, invoice_id: str, status: str) -> None:
        """`Settled` or `Invalid`. Raises ValueError where BTCPay's page has no such button."""
        self.watch()
        found = self.invoices[invoice_id]
        self._raise(found, found.mark(status))
        await self.tick()

    async def refund(self, invoice_id: str) -> None:
        self._raise(self.invoices[invoice_id], [("InvoiceRefund", {"pullPaymentId": self.next_id("pull")})])
        await self.tick()

    # The payer and the network

    async def pay(
        self,
        invoice_id: str,
        *,
        rail: str = "onchain",
        sats: int | None = None,
        percent: int = 100,
        confirmed: bool | None = None,
    ) -> str:
        """Of the price: `sats`, or `percent` rounded up. Lightning is always confirmed; on-chain by default too.

        Answers the payment's id.
        """
        self.watch()
        found = self.invoices[invoice_id]
        amount = -(-found.price_sats * percent // 100) if sats is None else sats
        payment = Payment(self.next_id("payment"), METHODS[rail], amount, self.now)
        found.payments.append(payment)
        self._raise(found, [("InvoiceReceivedPayment", self._payment_fields(found, payment))])
        at_once = rail == "lightning"
        if not at_once:
            self._watch_one(found)
        if at_once or confirmed is not False:
            self._confirm(found, payment)
        await self.tick()
        return payment.id

    async def confirm(self, invoice_id: str) -> None:
        """All payments that are not replaced get their confirmations."""
        self.watch()
        found = self.invoices[invoice_id]
        for payment in found.accounted:
            if not payment.confirmed:
                self._confirm(found, payment)
        await self.tick()

    async def replace(self, invoice_id: str) -> None:
        """All unconfirmed payments are spent elsewhere (RBF, double spend). No webhook tells."""
        self.watch()
        found = self.invoices[invoice_id]
        for payment in found.accounted:
            payment.replaced = not payment.confirmed
        await self.tick()

    async def expire(self, invoice_id: str) -> None:
        """Its time is over now, without moving the clock."""
        self.invoices[invoice_id].expires_at = min(self.invoices[invoice_id].expires_at, self.now)
        await self.tick()

    # Webhooks gone wrong

    def drop_next(self, count: int = 1) -> None:
        self.post.script.drop += count

    def duplicate_next(self, count: int = 1) -> None:
        self.post.script.duplicate += count

    def delay_next(self, seconds: int) -> None:
        self.post.script.delay = timedelta(seconds=seconds)

    def hold(self) -> None:
        """Messages are queued and not sent until `release`."""
        self.post.script.holding = True

    async def release(self, *, reverse: bool = False) -> None:
        self.post.script.holding = False
        for hook in self.post.hooks.values():
            if reverse:
                hook.queue.reverse()
        await self.tick()

    def restart(self) -> None:
        """Messages that were queued are lost."""
        self.post.restart()

    async def redeliver(self, delivery_id: str) -> str:
        hook = next(hook for hook in self.hooks if any(past.id == delivery_id for past in hook.past))
        fresh = self.post.redeliver(hook, delivery_id, self.now)
        await self.tick()
        return fresh

    @property
    def hooks(self) -> Sequence[Hook]:
        return list(self.post.hooks.values())

    # Time

    async def tick(self) -> None:
        """Look at the clock: expire what is over, deliver what is due."""
        self.watch()
        await self.post.deliver(self.now)

    def next_due(self) -> datetime | None:
        """When time alone will next change or send something."""
        moments = [moment for found in self.invoices.values() for moment in found.due_moments()]
        return min(moments + self.post.next_due(), default=None)

    async def travel(self, seconds: float) -> None:
        """Step by step, each change at its moment. For the fake's own clock; a shared one is moved by its owner."""
        assert isinstance(self.clock, HandClock), "this clock is not the fake's: move it yourself, then tick()"
        until = self.now + timedelta(seconds=seconds)
        await self.tick()
        while (due := self.next_due()) is not None and due <= until:
            self.clock.move(due)
            await self.tick()
        self.clock.move(until)
        await self.tick()

    def check(self) -> None:
        """Raises AssertionError when anything broke BTCPay's specification. Call it at the end of each test."""
        assert not self.violations, "\n".join(self.violations)

    # Within

    def make_invoice(self, store: Store, amount: Decimal, currency: str, body: dict[str, Any]) -> Invoice:
        """Raises LookupError with the server's log text when the store cannot."""
        rate = Decimal(10**8) if currency == "SATS" else Decimal(1) if currency == "BTC" else self.rates.get(currency)
        if rate is None:
            raise LookupError(f"{currency}: no rate available\nBTC_{currency}: not found")
        checkout = body.get("checkout") or {}
        methods = [name for name in store.methods if name in (checkout.get("paymentMethods") or store.methods)]
        if not methods:
            raise LookupError("Error while creating the invoice:\nNo payment method available")
        invoice_id = self.next_id("invoice")
        expires_at = self.now + minutes(checkout.get("expirationMinutes"), 15)
        settings = {"speedPolicy": store.speed_policy, "paymentTolerance": store.payment_tolerance, **checkout}
        made = Invoice(
            id=invoice_id,
            store_id=store.id,
            amount=amount,
            currency=currency,
            rate=rate,
            metadata=body.get("metadata") or {},
            checkout=settings,
            created_at=self.now,
            expires_at=expires_at,
            monitor_until=expires_at + minutes(checkout.get("monitoringMinutes"), 1440),
            destinations={},
        )
        made.destinations = destinations_of(invoice_id, methods, self.network, made.price_sats)
        self.invoices[invoice_id] = made
        self._raise(made, [("InvoiceCreated", {})])
        return made

    def mark_quietly(self, found: Invoice, status: str) -> None:
        """By the API: the messages go out with the next tick."""
        self._raise(found, found.mark(status))

    def watch(self) -> None:
        for found in self.invoices.values():
            self._watch_one(found)

    def granted(self, key: str, permission: str, store: str | None) -> bool:
        for held in self.keys.get(key, ()):
            name, _, scope = held.partition(":")
            if permission in (name, *IMPLIES.get(name, ())) and (not scope or store is None or scope == store):
                return True
        return False

    def _confirm(self, found: Invoice, payment: Payment) -> None:
        payment.confirmed = True
        self._raise(found, [("InvoicePaymentSettled", self._payment_fields(found, payment))])
        self._watch_one(found)

    def _watch_one(self, found: Invoice) -> None:
        self._raise(found, found.watch(self.now))

    def _payment_fields(self, found: Invoice, payment: Payment) -> dict[str, Any]:
        return {
            "afterExpiration": payment.received_at >= found.expires_at,
            "paymentMethodId": payment.method,
            "payment": found.payment_json(payment),
        }

    def _raise(self, found: Invoice, events: Sequence[Event]) -> None:
        for kind, extra in events:
            payload = {
                "timestamp": unix(self.now),
                "storeId": found.store_id,
                "invoiceId": found.id,
                "metadata": found.metadata,
                **extra,
            }
            if btcpay_contract.available():
                self.violations += btcpay_contract.faults_of_event(kind, payload)
            self.post.raise_event(found.store_id, kind, payload, self.now)
