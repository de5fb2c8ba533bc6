"""One BTCPay store, opened with its key."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from keysat.infra.http import HttpClient
from keysat.kit.ids import Chance
from keysat.payments.calls import segment
from keysat.payments.provider import (
    Connection,
    Health,
    InvoiceRequest,
    InvoiceSnapshot,
    Malformed,
    NoSuchId,
    Nudge,
    PaymentMethod,
    PermissionMissing,
    ProviderError,
    Rejected,
    SavedProfile,
    Unsupported,
)
from providers.btcpay import webhook, wire
from providers.btcpay.authorize import leave
from providers.btcpay.greenfield import Greenfield
from providers.btcpay.health import examine
from providers.btcpay.invoices import body_of, snapshot_of

CREATE_SECONDS = 8.0  # the published clients give up after 10 s, and the methods are still to be read
METHODS_SECONDS = 2.0
SAME_ATTEMPT_MAX = 10
PAGE = 50
PAGES_MAX = 200
SECRET_BYTES = 32


class BtcPayTill:
    def __init__(self, connection: Connection, http: HttpClient, chance: Chance) -> None:
        self._connection = connection
        self._chance = chance
        self._http = http
        self._api = Greenfield(http, connection.base_url, connection.secrets.get("api_key", ""))
        self._store = f"/stores/{segment(connection.account_id)}"

    async def health(self) -> Health:
        return await examine(self._api, self._connection)

    async def create_invoice(self, request: InvoiceRequest) -> InvoiceSnapshot:
        """There is no idempotency key: on OutcomeUnknown, `find_by_attempt` first (1.4)."""
        invoice = await self._api.create(
            f"{self._store}/invoices", body_of(request), wire.Invoice, seconds=CREATE_SECONDS
        )
        try:
            methods = await self._methods(invoice.id, METHODS_SECONDS)
        except ProviderError:  # the invoice stands; what is due and on which network can be read later
            methods = None
        return snapshot_of(invoice, methods, self._connection)

    async def find_by_attempt(self, attempt_id: str) -> Sequence[InvoiceSnapshot]:
        query = [("orderId", attempt_id), ("take", str(SAME_ATTEMPT_MAX))]
        found = await self._api.ask(f"{self._store}/invoices", list[wire.Invoice], query)
        ours = [invoice for invoice in found if (invoice.metadata or {}).get("orderId") == attempt_id]
        return [await self._complete(invoice) for invoice in ours if self._readable(invoice) is not None]

    async def get_invoice(self, invoice_id: str) -> InvoiceSnapshot:
        path = f"{self._store}/invoices/{segment(invoice_id)}"
        return await self._complete(await self._api.ask(path, wire.Invoice))

    async def changed_since(self, since: datetime) -> AsyncIterator[InvoiceSnapshot]:
        """Newest first, without network, confirmations and due: `get_invoice` before anything follows from one.

        Other tools' invoices of the same store are among them; those without a price we can read are left out.
        """
        start = str(int(since.timestamp()))
        seen: set[str] = set()
        for page in range(PAGES_MAX):
            query = [("startDate", start), ("skip", str(page * PAGE)), ("take", str(PAGE))]
            found = await self._api.ask(f"{self._store}/invoices", list[wire.Invoice], query)
            for invoice in found:
                snapshot = self._readable(invoice)
                if snapshot is not None and invoice.id not in seen:  # a new one pushes others to the next page
                    seen.add(invoice.id)
                    yield snapshot
            if len(found) < PAGE:
                return
        raise Rejected(f"more than {PAGES_MAX * PAGE} invoices since {since.isoformat()}: look at a shorter time")

    async def btc_rate(self, currency: str) -> Decimal | None:
        pair = f"BTC_{currency}"
        try:
            rates = await self._api.ask(f"{self._store}/rates", list[wire.Rate], [("currencyPair", pair)])
        except (PermissionMissing, Rejected):
            return None
        for item in rates:
            if item.currency_pair == pair and not item.errors and item.rate is not None:
                return item.rate if item.rate.is_finite() and item.rate > 0 else None
        return None

    async def list_profiles(self, customer_ref: str) -> Sequence[SavedProfile]:
        raise Unsupported("BTCPay Server keeps no cards")

    async def charge_saved(self, invoice_id: str, profile_id: str) -> InvoiceSnapshot:
        raise Unsupported("Bitcoin is sent by the buyer: nobody can draw it")

    def parse_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> Nudge | None:
        return webhook.read(headers, raw_body, self._connection)

    async def ensure_webhook(self, url: str) -> Connection:
        """Ours is mended or made; any other with this very URL is a stale one of ours and goes (1.7)."""
        secret = self._connection.secrets.get("webhook_secret") or self._chance.bytes(SECRET_BYTES).hex()
        hooks = await self._api.ask(f"{self._store}/webhooks", list[wire.Hook])
        ours = next((hook for hook in hooks if hook.id == self._connection.webhook_id), None)
        if ours is None:
            ours = await self._put_hook("POST", f"{self._store}/webhooks", url, secret)
        else:  # always written: the secret of the other side cannot be read, and must be in step
            await self._put_hook("PUT", f"{self._store}/webhooks/{segment(ours.id)}", url, secret)
        for hook in hooks:
            if hook.url == url and hook.id != ours.id:
                await self._forget_hook(hook.id)
        secrets = {**self._connection.secrets, "webhook_secret": secret}
        self._connection = replace(self._connection, webhook_id=ours.id, webhook_url=url, secrets=secrets)
        return self._connection

    async def payment_methods(self) -> Sequence[PaymentMethod]:
        found = await self._api.ask(f"{self._store}/payment-methods", list[wire.StoreMethod])
        return [PaymentMethod(one.payment_method_id, one.enabled) for one in found]

    async def revoke(self) -> Sequence[str]:
        return await leave(self._api, self._connection, self._http)

    async def _put_hook(self, method: str, path: str, url: str, secret: str) -> wire.Hook:
        events = webhook.EVENTS + webhook.LATER_EVENTS
        body = wire.NewHook(url, secret, wire.Events(everything=False, specific_events=events))
        try:
            return await self._api.tell(method, path, body, wire.Hook)
        except Rejected:  # an older server that does not know the later words
            events = webhook.EVENTS
            body = wire.NewHook(url, secret, wire.Events(everything=False, specific_events=events))
            return await self._api.tell(method, path, body, wire.Hook)

    async def _forget_hook(self, hook_id: str) -> None:
        try:
            await self._api.remove(f"{self._store}/webhooks/{segment(hook_id)}")
        except NoSuchId:
            return

    async def _methods(self, invoice_id: str, seconds: float | None = None) -> list[wire.PaymentMethod]:
        path = f"{self._store}/invoices/{segment(invoice_id)}/payment-methods"
        return await self._api.ask(path, list[wire.PaymentMethod], seconds=seconds)

    def _readable(self, invoice: wire.Invoice) -> InvoiceSnapshot | None:
        """None for what others made in our store and we cannot read: it must not hide our own."""
        try:
            return snapshot_of(invoice, None, self._connection)
        except Malformed:
            return None

    async def _complete(self, invoice: wire.Invoice) -> InvoiceSnapshot:
        """The payments are read after the invoice: a newer, unconfirmed one can only make the picture worse."""
        return snapshot_of(invoice, await self._methods(invoice.id), self._connection)
