"""Zaprite's messages: nobody signs them, so they name an order to ask for and nothing else (`payment-rails.md` 3)."""

import hashlib

import msgspec

from keysat.payments.calls import ID
from keysat.payments.provider import Malformed, Nudge

EVENT_MAX = 64
"""Characters."""

EVENT_NAMES = ("event", "eventType", "type", "name")
"""Bodies differ by what was seen of them: the first of these that is not empty counts."""

ORDER_IDS = ("data.id", "data.object.id", "orderId", "data.orderId", "order.id", "id")


def read(raw_body: bytes) -> Nudge | None:
    """None: well-formed, and of no order. Raises Malformed.

    There is no id of the delivery: what is the same byte for byte is the same message.
    """
    try:
        body = msgspec.json.decode(raw_body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"Zaprite's webhook cannot be read: {error}") from error
    order_id = _first(body, ORDER_IDS)
    if ID.fullmatch(order_id) is None:
        return None
    event = "".join(letter for letter in _first(body, EVENT_NAMES) if letter.isprintable())  # no NUL for a database
    return Nudge(order_id, event[:EVENT_MAX] or "unnamed", hashlib.sha256(raw_body).hexdigest())


def _first(body: dict[str, object], paths: tuple[str, ...]) -> str:
    for path in paths:
        *outer, name = path.split(".")
        found = body
        for step in outer:
            found = _inside(found, step)
        text = found.get(name)
        if isinstance(text, str) and text:
            return text
    return ""


def _inside(body: dict[str, object], name: str) -> dict[str, object]:
    try:
        return msgspec.convert(body.get(name), dict[str, object])
    except msgspec.ValidationError:
        return {}
