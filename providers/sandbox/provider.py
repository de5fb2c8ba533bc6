"""The provider `sandbox`: Keysat's side of the wire to the wallet."""

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from keysat.infra.http import Answer, HttpClient, HttpError
from keysat.kit.errors import BadRequest
from keysat.kit.money import Money
from keysat.payments.calls import decoded, is_base_url, is_undecided, refusal, segment, unanswered
from keysat.payments.provider import (
    BadSignature,
    Capabilities,
    Connection,
    CredentialGone,
    Declined,
    Health,
    InvoiceRequest,
    InvoiceSnapshot,
    Malformed,
    Network,
    Nudge,
    OutcomeUnknown,
    PayState,
    PermissionMissing,
    ProviderError,
    Rail,
    Rejected,
    SavedProfile,
)
from providers.sandbox.wire import (
    PAGE,
    SIGNATURE_HEADER,
    Delivery,
    InvoicePage,
    InvoiceView,
    NewCharge,
    NewInvoice,
    NewWebhook,
    Profiles,
    WalletHealth,
    Webhook,
    signature,
)

T = TypeVar("T")

WALLET = "the sandbox wallet"
_STATES = {
    "New": PayState.PENDING,
    "Processing": PayState.PROCESSING,
    "Settled": PayState.SETTLED,
    "Expired": PayState.EXPIRED,
    "Invalid": PayState.INVALID,
}


class SandboxTill:
    def __init__(self, connection: Connection, http: HttpClient) -> None:
        self._connection = connection
        self._http = http

    async def health(self) -> Health:
        try:
            found = await self._ask("/health", WalletHealth)
        except (CredentialGone, PermissionMissing):
            return Health(reachable=True, authorized=False)
        except ProviderError as error:
            return Health(reachable=False, authorized=False, warnings=(str(error),))
        return Health(
            reachable=True,
            authorized=True,
            synced=True,
            version=found.version,
            webhook_ok=self._connection.webhook_id in found.webhook_ids,
            warnings=() if found.wallet_id == self._connection.account_id else ("this is another wallet",),
        )

    async def wallet_id(self) -> str:
        return (await self._ask("/health", WalletHealth)).wallet_id

    async def ensure_webhook(self, url: str) -> Connection:
        webhook = await self._tell("/webhook", NewWebhook(url), Webhook)
        secrets = {**self._connection.secrets, "webhook_secret": webhook.secret}
        self._connection = replace(self._connection, secrets=secrets, webhook_id=webhook.id)
        return self._connection

    async def create_invoice(self, request: InvoiceRequest) -> InvoiceSnapshot:
        new = NewInvoice(
            attempt_id=request.attempt_id,
            currency=request.price.currency,
            price_minor=request.price.minor,
            description=request.description[:500],
            item_code=request.item_code[:500],
            expires_in_seconds=request.expires_in_seconds,
            monitor_seconds=request.monitor_seconds,
            return_url=request.return_url,
            may_save_card=request.may_save_card,
            customer_id=request.customer_ref,
        )
        return await self._make("/invoices", new)

    async def find_by_attempt(self, attempt_id: str) -> Sequence[InvoiceSnapshot]:
        return [snapshot async for snapshot in self._all({"attempt": attempt_id})]

    async def get_invoice(self, invoice_id: str) -> InvoiceSnapshot:
        return self._snapshot(await self._ask(f"/invoices/{segment(invoice_id)}", InvoiceView))

    def changed_since(self, since: datetime) -> AsyncIterator[InvoiceSnapshot]:
        return self._all({"since": since.isoformat()})

    async def btc_rate(self, currency: str) -> Decimal | None:
        return None

    async def list_profiles(self, customer_ref: str) -> Sequence[SavedProfile]:
        found = await self._ask(f"/customers/{segment(customer_ref)}/profiles", Profiles)
        return [
            SavedProfile(one.id, Rail.CARD, one.method, one.expires_at, one.source_attempt_id) for one in found.profiles
        ]

    async def charge_saved(self, invoice_id: str, profile_id: str) -> InvoiceSnapshot:
        return await self._make(f"/invoices/{segment(invoice_id)}/charge", NewCharge(profile_id))

    def parse_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> Nudge | None:
        secret = self._connection.secrets.get("webhook_secret", "")
        expected = signature(secret, raw_body).encode()
        if not secret or not hmac.compare_digest(headers.get(SIGNATURE_HEADER, "").encode(), expected):
            raise BadSignature("the signature does not fit the webhook's secret")
        try:
            said = msgspec.json.decode(raw_body, type=Delivery)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"not a message of {WALLET}: {error}") from error
        return Nudge(said.invoice_id, said.type, said.original_delivery_id, said.is_redelivery)

    async def _all(self, query: Mapping[str, str]) -> AsyncIterator[InvoiceSnapshot]:
        skip, more = 0, True
        while more:
            page = await self._ask("/invoices?" + urlencode({**query, "skip": skip}), InvoicePage)
            for view in page.invoices:
                yield self._snapshot(view)
            skip, more = skip + PAGE, page.more

    async def _make(self, path: str, body: msgspec.Struct) -> InvoiceSnapshot:
        """What must not be carried out twice: an answer that cannot be read leaves open whether it was done."""
        try:
            return self._snapshot(await self._tell(path, body, InvoiceView))
        except Malformed as error:
            raise OutcomeUnknown(str(error)) from error

    async def _ask(self, path: str, shape: type[T]) -> T:
        return _read(await self._call("GET", path, None), shape)

    async def _tell(self, path: str, body: msgspec.Struct, shape: type[T]) -> T:
        answer = await self._call("POST", path, body)
        if is_undecided(answer.status):
            raise OutcomeUnknown(f"{WALLET} answered {answer.status}")
        return _read(answer, shape)

    async def _call(self, method: str, path: str, body: msgspec.Struct | None) -> Answer:
        url = f"{self._connection.base_url}/api{path}"
        headers = {"Authorization": f"Bearer {self._connection.secrets.get('api_key', '')}"}
        try:
            return await self._http.request(method, url, headers=headers, json=body)
        except HttpError as error:
            raise unanswered(error, WALLET, makes_something=body is not None) from error

    def _snapshot(self, view: InvoiceView) -> InvoiceSnapshot:
        extra = view.additional_status
        try:
            price, paid = Money(view.currency, view.price_minor), Money(view.currency, view.paid_minor)
        except BadRequest as error:
            raise Malformed(f"{WALLET} names no money: {error}") from error
        return InvoiceSnapshot(
            invoice_id=view.id,
            account_id=view.wallet_id,
            attempt_id=view.attempt_id,
            price=price,
            state=_STATES.get(view.status, PayState.UNKNOWN),
            raw_status=f"{view.status}/{extra}",
            paid=paid,
            paid_late=extra == "PaidLate",
            partial=extra == "PaidPartial",
            over=extra == "PaidOver",
            marked_by_hand=extra == "Marked",
            all_confirmed=view.all_confirmed,
            created_at=view.created_at,
            expires_at=view.expires_at,
            monitor_until=view.monitor_until,
            last_payment_at=view.last_payment_at,
            checkout_url=self._public(view.checkout_url),
            network=Network.SANDBOX,
            due_sats=view.due_sats,
            customer_ref=view.customer_id,
        )

    def _public(self, checkout_url: str) -> str:
        """The path is the wallet's, the host is always ours to say."""
        root = self._connection.public_url or self._connection.base_url
        return root.rstrip("/") + urlsplit(checkout_url).path


class SandboxProvider:
    @property
    def name(self) -> str:
        return "sandbox"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            rails=frozenset({Rail.LIGHTNING, Rail.ONCHAIN}),
            prices_fiat_itself=True,
            networks=frozenset({Network.SANDBOX}),
            saved_profiles=True,
        )

    def open(self, connection: Connection, http: HttpClient) -> SandboxTill:
        return SandboxTill(connection, http)

    async def connect_with(self, fields: Mapping[str, str], connection_id: str, http: HttpClient) -> Connection:
        """Wants `url` and `api_key`; `public_url` only where buyers reach the wallet by another address."""
        url, api_key = fields.get("url", "").rstrip("/"), fields.get("api_key", "")
        public_url = fields.get("public_url", "").rstrip("/") or None
        for name, given in (("url", url), ("public_url", public_url or url)):
            if not is_base_url(given):
                raise Rejected(f"{name}: give the wallet's address, such as http://127.0.0.1:8090")
        if not api_key:
            raise Rejected("api_key: give the key that the wallet was started with")
        connection = Connection(
            id=connection_id,
            provider=self.name,
            base_url=url,
            public_url=public_url,
            account_id="",
            label="Sandbox wallet",
            secrets={"api_key": api_key},
            network=Network.SANDBOX,
        )
        return replace(connection, account_id=await SandboxTill(connection, http).wallet_id())


def _read(answer: Answer, shape: type[T]) -> T:
    if answer.status != 200:
        raise _error_of(answer)
    return decoded(answer.body, shape, WALLET)


def _error_of(answer: Answer) -> ProviderError:
    said = _detail(answer.body)
    if answer.status == 402:
        return Declined(said)
    return refusal(answer, WALLET, said, f"answered {answer.status}")


class _Refusal(msgspec.Struct, frozen=True):
    detail: str = ""


def _detail(body: bytes) -> str:
    """The wallet's words alone."""
    try:
        return msgspec.json.decode(body, type=_Refusal).detail
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
