"""From what the operator typed to a connection: address, key with least privilege, store, network."""

from collections.abc import Mapping
from dataclasses import replace

from keysat.infra.http import HttpClient
from keysat.payments.calls import is_base_url, is_key, segment
from keysat.payments.provider import (
    Connection,
    Malformed,
    NoSuchId,
    PermissionMissing,
    ProviderError,
    Rejected,
)
from providers.btcpay import permissions, wire
from providers.btcpay.greenfield import Greenfield
from providers.btcpay.invoices import SATS, snapshot_of

PROBE_SATS = 1000
PROBE_TEXT = "Keysat looks which network this store is on. Nothing is to be paid."
PROBE_SECONDS = 15.0  # nobody waits at a checkout here, and the store's node may be slow
API_KEY_LENGTH_MAX = 200


async def connect(fields: Mapping[str, str], connection_id: str, http: HttpClient) -> Connection:
    """Makes one small probe invoice, since only an invoice shows the network; it is marked invalid when the key may."""
    typed = {name: value.strip() for name, value in fields.items()}
    base_url = address(typed.get("url", ""))
    public_url = address(typed["public_url"]) if typed.get("public_url") else None
    api_key = _api_key(typed.get("api_key", ""))
    api = Greenfield(http, base_url, api_key)
    try:
        key = await api.ask("/api-keys/current", wire.ApiKey)
    except (Malformed, NoSuchId, Rejected) as error:
        raise Rejected(f"{base_url} does not answer as BTCPay's API does. Check the address.") from error
    grant = permissions.judge(key.permissions)
    store_id = permissions.require(grant, typed.get("store", ""))
    secret = typed.get("webhook_secret", "")
    connection = Connection(
        id=connection_id,
        provider="btcpay",
        base_url=base_url,
        public_url=public_url,
        account_id=store_id,
        label=await _label(api, store_id, grant),
        secrets={"api_key": api_key, **({"webhook_secret": secret} if secret else {})},
    )
    return await _with_network(api, connection, grant)


def address(text: str) -> str:
    """Scheme, host, port and path, without a slash at the end."""
    if not is_base_url(text):
        raise Rejected(f"{text!r} is not the address of a BTCPay server: write it like https://btcpay.example.org")
    return text.rstrip("/")


def _api_key(text: str) -> str:
    if not is_key(text, API_KEY_LENGTH_MAX):
        raise Rejected("The API key is missing or misshapen: copy it from BTCPay, Manage account, API keys.")
    return text


async def _label(api: Greenfield, store_id: str, grant: permissions.Grant) -> str:
    if permissions.SETTINGS not in grant.granted:
        return store_id
    try:
        store = await api.ask(f"/stores/{segment(store_id)}", wire.Store)
    except (NoSuchId, PermissionMissing) as error:
        raise Rejected(f"This API key is for the store {store_id}, which is not there (any more).") from error
    return store.name or store_id


async def _with_network(api: Greenfield, connection: Connection, grant: permissions.Grant) -> Connection:
    """`payment-rails.md` 1.6. A store whose probe shows nothing we know is connected as UNKNOWN."""
    body = wire.NewInvoice(
        amount=str(PROBE_SATS),
        currency=SATS,
        metadata=wire.Metadata(f"keysat-probe-{connection.id}", PROBE_TEXT, "keysat/probe"),
        checkout=wire.Checkout(
            speed_policy="MediumSpeed",
            expiration_minutes=1,
            monitoring_minutes=1,
            lazy_payment_methods=False,  # lazy ones have no destination yet
        ),
    )
    store = f"/stores/{segment(connection.account_id)}"
    try:
        probe = await api.create(f"{store}/invoices", body, wire.Invoice, seconds=PROBE_SECONDS)
    except Rejected as error:
        raise Rejected(f"The store cannot make an invoice: set up a wallet or a Lightning node. {error}") from error
    path = f"{store}/invoices/{segment(probe.id)}"
    methods = await api.ask(f"{path}/payment-methods", list[wire.PaymentMethod])
    if permissions.MODIFY in grant.granted:
        await _cancel(api, path)
    return replace(connection, network=snapshot_of(probe, methods, connection).network)


async def _cancel(api: Greenfield, path: str) -> None:
    try:
        await api.tell("POST", f"{path}/status", wire.Mark(status="Invalid"), wire.Invoice)
    except ProviderError:  # it expires by itself in a minute
        return
