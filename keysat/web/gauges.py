"""What is counted for who watches the shop: what waits, what calls for a person, who does not answer.

Each count is served by an index: it costs the same in a large shop as in a small one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from sqlalchemy import Select, func, select

from keysat.checkout.tables import Order
from keysat.infra.tables import AttentionRow, EventRow
from keysat.infra.work import Read
from keysat.letters.tables import LetterRow
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.upkeep.backup import last_backup
from keysat.upkeep.shop import Shop

Values = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Gauge:
    name: str
    help: str
    values: Values
    """By the values of its labels."""
    labels: tuple[str, ...] = ()


WAITING: Mapping[str, tuple[str, Select[Any]]] = {
    "attention_open": (
        "Calls that only a person can answer.",
        select(func.count()).where(AttentionRow.settled_at.is_(None)),
    ),
    "events_unsealed": ("Events whose place is not fixed yet.", select(func.count()).where(~EventRow.sealed)),
    "letters_waiting": (
        "Letters that are to be sent.",
        select(func.count()).where(LetterRow.next_try_at.is_not(None)),
    ),
}


async def gauges(read: Read, shop: Shop, now: datetime) -> list[Gauge]:
    found = [
        Gauge(name, words, {(): float((await read.session.scalars(counted)).one())})
        for name, (words, counted) in WAITING.items()
    ]
    watched = select(Order.status, func.count()).where(Order.next_look_at.is_not(None)).group_by(Order.status)
    orders = await read.session.execute(watched)
    connections = await read.session.scalars(_selling)
    return [
        *found,
        Gauge("orders_watched", "Orders that may still be paid.", {(str(key),): n for key, n in orders}, ("status",)),
        Gauge(
            "provider_up",
            "1 where the provider answered when it was last looked at.",
            {(row.provider, str(row.id)): float(_is_reachable(row)) for row in connections},
            ("provider", "connection"),
        ),
        Gauge(
            "backup_succeeded_timestamp_seconds",
            "When the last backup of the shop was made, by whomever.",
            {(): made.timestamp()} if (made := await last_backup(read)) is not None else {},
        ),
        Gauge("telemetry_dropped", "Counts that were lost since the start.", {(): shop.telemetry.dropped}),
        Gauge(
            "unnamed_proxy_requests",
            "Requests since the start that came through a proxy which KEYSAT_TRUSTED_PROXIES does not name.",
            {(): shop.unnamed_proxy.requests},
        ),
        Gauge("clock_timestamp_seconds", "The shop's own time.", {(): now.timestamp()}),
        Gauge("build_info", "Always 1.", {(version("keysat"), shop.mode): 1}, ("version", "mode")),
    ]


async def unreachable_providers(read: Read) -> list[str]:
    """By name, those of connections that sell."""
    return sorted({row.provider for row in await read.session.scalars(_selling) if not _is_reachable(row)})


_selling = select(ConnectionRow).where(ConnectionRow.status == ConnectionStatus.ACTIVE)


def _is_reachable(row: ConnectionRow) -> bool:
    """One that nobody has looked at yet is taken to be well."""
    return row.health is None or bool(row.health.get("reachable", True))
