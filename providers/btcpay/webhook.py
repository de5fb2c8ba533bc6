"""BTCPay's messages: the events we ask for, and how one is believed (`payment-rails.md` 1.12)."""

import hashlib
import hmac
import re
from collections.abc import Mapping

import msgspec

from keysat.payments.provider import BadSignature, Connection, Malformed, Nudge
from providers.btcpay import wire

EVENTS = (
    "InvoiceReceivedPayment",
    "InvoicePaymentSettled",
    "InvoiceProcessing",
    "InvoiceSettled",
    "InvoiceExpired",
    "InvoiceInvalid",
)
LATER_EVENTS = ("InvoiceExpiredPaidPartial", "InvoicePaidAfterExpiration", "InvoiceRefund")
"""Since 2.1 and 2.4.1: asked for too, unless the server refuses the words."""

_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")


def signature(secret: str, raw_body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), raw_body, hashlib.sha256).hexdigest()


def read(headers: Mapping[str, str], raw_body: bytes, connection: Connection) -> Nudge | None:
    """None: of no interest (another store's, without an invoice, or the old test button's).

    An event type we do not know is still a hint to look. Raises BadSignature, Malformed.
    """
    _verify(headers.get("btcpay-sig", ""), raw_body, connection.secrets.get("webhook_secret", ""))
    try:
        event = msgspec.json.decode(raw_body, type=wire.Event)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"BTCPay's webhook cannot be read: {error}") from error
    delivery_id = event.original_delivery_id or event.misspelt_delivery_id or event.delivery_id
    if not delivery_id:
        raise Malformed("BTCPay's webhook has no delivery id")
    if not event.invoice_id or event.invoice_id.startswith("__test__"):
        return None
    if event.store_id is not None and event.store_id != connection.account_id:
        return None
    return Nudge(event.invoice_id, event.type, delivery_id, event.is_redelivery)


def _verify(header: str, raw_body: bytes, secret: str) -> None:
    if not secret:
        raise BadSignature("no webhook secret is set: nothing can be believed")
    if _SIGNATURE.fullmatch(header) is None:
        raise BadSignature("the BTCPay-Sig header is missing or misshapen")
    if not hmac.compare_digest(header.encode(), signature(secret, raw_body).encode()):
        raise BadSignature("the BTCPay-Sig header does not fit the body")
