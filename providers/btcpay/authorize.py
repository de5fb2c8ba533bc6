"""BTCPay's own page on which the operator lets us in (`payment-rails.md` 1.10), and giving back what came from it."""

from urllib.parse import urlencode

from keysat.infra.http import HttpClient
from keysat.payments.calls import segment
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Malformed,
    NoSuchId,
    PermissionMissing,
    ProviderError,
    Rejected,
    Transient,
)
from providers.btcpay.connect import address
from providers.btcpay.greenfield import Greenfield
from providers.btcpay.permissions import ASKED_FOR

APPLICATION, IDENTIFIER = "Keysat", "keysat"


def authorize_url(base_url: str, redirect: str) -> str:
    """Exactly what is needed, for the stores that the operator picks there."""
    asked = [
        *(("permissions", name) for name in ASKED_FOR),
        ("applicationName", APPLICATION),
        ("applicationIdentifier", IDENTIFIER),
        ("strict", "true"),
        ("selectiveStores", "true"),
        ("redirect", redirect),
    ]
    return f"{address(base_url)}/api-keys/authorize?{urlencode(asked)}"


async def revoke_key(base_url: str, api_key: str, http: HttpClient) -> None:
    try:
        await Greenfield(http, address(base_url), api_key).remove("/api-keys/current")
    except (CredentialGone, NoSuchId):
        return


async def leave(api: Greenfield, connection: Connection, http: HttpClient) -> list[str]:
    """Our webhook first, for which the key is needed. Returns what was left behind."""
    left: list[str] = []
    if connection.webhook_id is not None:
        try:
            await api.remove(f"/stores/{segment(connection.account_id)}/webhooks/{segment(connection.webhook_id)}")
        except (CredentialGone, NoSuchId):
            pass
        except (PermissionMissing, Rejected, Malformed) as error:
            left.append(f"The webhook is still in BTCPay: remove it there, in the store's settings. {error}")
    try:
        await revoke_key(connection.base_url, connection.secrets.get("api_key", ""), http)
    except Transient:
        raise
    except ProviderError as error:
        left.append(f"The API key is still in BTCPay: remove it there, under your account's API keys. {error}")
    return left
