"""From what the operator typed to a connection: a key that works, its organization, and whether its money is real."""

import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from msgspec import UNSET

from keysat.infra.http import HttpClient
from keysat.payments.calls import is_base_url, is_key
from keysat.payments.provider import (
    Connection,
    Malformed,
    Network,
    NoSuchId,
    OutcomeUnknown,
    Rejected,
    Transient,
)
from providers.zaprite import wire
from providers.zaprite.api import Api, Said
from providers.zaprite.orders import SATS, is_play_money
from providers.zaprite.till import list_orders, readable

BASE_URL = "https://api.zaprite.com"
API_KEY_LENGTH_MAX = 500
LABEL_MAX = 200
PROBE_SATS = 1000
PROBE_TEXT = "Keysat looks whose API key this is. Nothing is to be paid."
PROBE_SECONDS = 15.0
_SANDBOX = re.compile(r"\bsandbox\b", re.IGNORECASE)


async def connect(fields: Mapping[str, str], connection_id: str, http: HttpClient) -> Connection:
    """`api_key`; `base_url` (or `url`) for another server than Zaprite's own; `label` for the operator's eyes.

    Zaprite names no network: a `label` with the word "sandbox" says that its money is play money, as does any order
    that was paid by its test plugin. The organization is learned from an order; where there is none yet, one is made
    that nobody pays.
    """
    typed = {name: value.strip() for name, value in fields.items()}
    base_url = _address(typed.get("base_url") or typed.get("url") or BASE_URL)
    api_key = _api_key(typed.get("api_key", ""))
    label = typed.get("label", "")[:LABEL_MAX] or "Zaprite"
    api = Api(http, base_url, api_key)
    try:
        listed = await list_orders(api)
        orders = readable(listed.what)
        account_id = next((order.org_id for order in orders if order.org_id), "")
    except (Malformed, NoSuchId, Rejected) as error:
        raise Rejected(f"{base_url} does not answer as Zaprite's API does. Check the address.") from error
    is_sandbox = _SANDBOX.search(label) is not None or any(is_play_money(order) for order in orders)
    return Connection(
        id=connection_id,
        provider="zaprite",
        base_url=base_url,
        public_url=_pay_pages(base_url),
        account_id=account_id or await _probed(api, listed, connection_id),
        label=label,
        secrets={"api_key": api_key},
        network=Network.SANDBOX if is_sandbox else Network.MAINNET,
    )


async def _probed(api: Api, listed: Said[wire.Listed], connection_id: str) -> str:
    order = wire.NewOrder(
        amount=PROBE_SATS,
        currency=SATS,
        external_uniq_id=f"keysat-probe-{connection_id}",
        label=PROBE_TEXT,
        expires_at=listed.at + timedelta(minutes=1) if listed.at is not None else UNSET,
    )
    try:
        account_id = (await api.make("/orders", order, wire.Order, seconds=PROBE_SECONDS)).what.org_id
    except Rejected as error:
        raise Rejected(f"This organization cannot make an order: set up in Zaprite how it is paid. {error}") from error
    except OutcomeUnknown as error:
        raise Transient(f"Zaprite did not tell whose API key this is. Try again. {error}") from error
    if not account_id:
        raise Rejected("Zaprite does not tell which organization this API key belongs to.")
    return account_id


def _pay_pages(base_url: str) -> str | None:
    """Where buyers are sent: `pay.` beside `api.`. Pages must know it, since browsers ask where a form may lead."""
    home = urlsplit(base_url)
    return f"{home.scheme}://pay.{home.netloc.removeprefix('api.')}" if home.netloc.startswith("api.") else None


def _address(text: str) -> str:
    if not is_base_url(text):
        raise Rejected(f"{text[:100]!r} is not the address of an API: leave it out, or write it like {BASE_URL}")
    return text.rstrip("/")


def _api_key(text: str) -> str:
    if not is_key(text, API_KEY_LENGTH_MAX):
        raise Rejected("The API key is missing or misshapen: copy it from Zaprite, organization settings, API.")
    return text
