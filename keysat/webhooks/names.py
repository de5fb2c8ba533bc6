"""Which happenings the world is told of, and under which names. Data, and what reads it; pure.

Names and fields are those of `published-server.md` 4.4 where it has them. In the place of its `invoice_id`, which opens
a key, stands `order_id`; in the place of an e-mail, `customer_id`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from keysat.kit.errors import BadRequest

ALL = "*"
PING = "ping"
TYPES_MAX = 100

SAME = (
    "product.created",
    "product.updated",
    "product.deleted",
    "policy.created",
    "policy.updated",
    "policy.archived",
    "policy.unarchived",
    "policy.deleted",
    "code.redeemed",
    "trial.started",
    "order.opened",
    "order.payment_seen",
    "order.payment_lost",
    "order.paid",
    "order.fulfilled",
    "order.needs_attention",
    "order.paid_twice",
    "order.payment_reversed",
    "license.issued",
    "license.edited",
    "license.suspended",
    "license.unsuspended",
    "license.revoked",
    "license.key_replaced",
    "license.recovered",
    "license.tier_changed",
    "license.tier_change_scheduled",
    "license.tier_change_cancelled",
    "license.seat_limit_reached",
    "machine.activated",
    "machine.deactivated",
    "subscription.started",
    "subscription.renewal_pending",
    "subscription.renewed",
    "subscription.renewal_failed",
    "subscription.renewal_skipped",
    "subscription.past_due",
    "subscription.lapsed",
    "subscription.paused",
    "subscription.resumed",
    "subscription.moved",
    "subscription.price_changed",
    "subscription.cancel_scheduled",
    "subscription.cancel_withdrawn",
    "subscription.cancelled",
    "subscription.auto_charge_initiated",
    "subscription.auto_charge_failed",
)
"""Told under the name they have."""
BY_STATUS: Mapping[str, Mapping[str, str]] = {
    "order.closed": {"expired": "order.expired", "underpaid": "order.underpaid", "invalid": "order.invalid"},
}
"""Told under another name for each `status` in their body."""
WRAPPED: Mapping[str, str] = {"product.created": "product", "product.updated": "product"}
"""Told with all they hold as one object besides, as the published server does."""

TOLD = frozenset(SAME) | BY_STATUS.keys()
"""Names in the event table."""
NAMES = tuple(sorted({*SAME, *(name for names in BY_STATUS.values() for name in names.values())}))
"""Public ones."""
_GROUPS = frozenset(name.partition(".")[0] + ".*" for name in NAMES)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as the world is told of it."""

    position: int
    event_type: str
    subject: str
    at: datetime
    data: Mapping[str, Any]

    def payload(self, *, is_sandbox: bool) -> str:
        return payload(self.event_type, self.at, self.data, is_sandbox=is_sandbox)


def told(position: int, name: str, subject: str, at: datetime, body: str) -> Told | None:
    """None: the world is not told."""
    if name not in TOLD:
        return None
    data: dict[str, Any] = msgspec.json.decode(body)
    event_type = BY_STATUS[name].get(data.get("status", "")) if name in BY_STATUS else name
    if event_type is None:
        return None
    if name in WRAPPED:
        wrapped = WRAPPED[name]
        data = {**data, wrapped: {"id": data.get(f"{wrapped}_id"), **data}}
    return Told(position, event_type, subject, at, data)


def payload(event_type: str, at: datetime, data: Mapping[str, Any], *, is_sandbox: bool) -> str:
    """The body of a request."""
    body: dict[str, Any] = {"event_type": event_type, "timestamp": at, "data": data}
    return msgspec.json.encode(body | {"sandbox": True} if is_sandbox else body).decode()


def checked(event_types: Iterable[str]) -> list[str]:
    """`*`, a name, or a group such as `license.*`; each once. Raises BadRequest."""
    wanted = sorted(set(event_types))
    if not 0 < len(wanted) <= TYPES_MAX:
        raise BadRequest(f"`event_types` names 1 to {TYPES_MAX} events, or {ALL!r} for all of them.")
    for name in wanted:
        if name != ALL and name not in _GROUPS and name not in NAMES:
            raise BadRequest(f"There is no event {name[:64]!r}. Known: {ALL}, {', '.join((*sorted(_GROUPS), *NAMES))}.")
    return wanted


def wants(event_types: Sequence[str], event_type: str) -> bool:
    return not {ALL, event_type, event_type.partition(".")[0] + ".*"}.isdisjoint(event_types)
