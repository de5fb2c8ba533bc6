"""Every job of the house in one table."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from keysat.infra.seals import seal
from keysat.jobs.backup import BackupSchedule
from keysat.jobs.connect import connect_from_settings
from keysat.jobs.health import check_connections
from keysat.jobs.letters import write_and_send
from keysat.jobs.look import look
from keysat.jobs.renew import renew
from keysat.jobs.sweep import sweep
from keysat.jobs.webhooks import forget_deliveries, send_webhooks
from keysat.upkeep.retention import KEPT, Kept, forget
from keysat.upkeep.self_license import refresh_edition
from keysat.upkeep.shop import Shop
from keysat.upkeep.tallies import tally
from keysat.upkeep.tills import refresh_tills

MILLISECOND, SECOND, MINUTE, HOUR = (
    timedelta(milliseconds=1),
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
)

Act = Callable[[Shop, datetime], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Job:
    """Runs at the start, then after each rest of `every`, or sooner when `topic` is woken by a commit.

    `gather`: how long it waits after it was woken, so that one run serves many commits. `limit`: a run that takes
    longer is broken off and counts as failed.
    """

    name: str
    every: timedelta
    act: Act
    topic: str | None = None
    gather: timedelta = timedelta()
    limit: timedelta = 10 * MINUTE


async def _seal(shop: Shop, now: datetime) -> None:
    await seal(shop.store, now)


async def _refresh(shop: Shop, _now: datetime) -> None:
    await refresh_tills(shop)
    await shop.ring.refresh()
    await shop.nameplate.read_again(shop.store)


async def _flush(shop: Shop, _now: datetime) -> None:
    await shop.telemetry.flush()


async def _flush_coarse(shop: Shop, _now: datetime) -> None:
    await shop.telemetry.flush_coarse()


async def _write_last_used(shop: Shop, now: datetime) -> None:
    await shop.seen.flush(shop.store, now)


async def _tell_of_proxies(shop: Shop, now: datetime) -> None:
    await shop.unnamed_proxy.tell(shop.store, shop.settings, now)


async def _tally(shop: Shop, now: datetime) -> None:
    await tally(shop.store, now)


def jobs(kept: Sequence[Kept] = ()) -> tuple[Job, ...]:
    """`kept`: what the doors store and for how long, since jobs do not know them."""
    return (
        Job("seal", 200 * MILLISECOND, _seal, topic="events", gather=20 * MILLISECOND),
        Job("look", SECOND, look, topic="look"),
        Job("renew", MINUTE, renew),
        Job("connect", MINUTE, connect_from_settings),
        Job("sweep", 10 * MINUTE, sweep),
        Job("health", 5 * MINUTE, check_connections),
        Job("refresh", 30 * SECOND, _refresh),
        Job("letters", SECOND, write_and_send, topic="seals", gather=50 * MILLISECOND, limit=HOUR),
        Job("tally", MINUTE, _tally, topic="seals", gather=5 * SECOND),
        Job("edition", HOUR, refresh_edition),
        Job("webhooks", SECOND, send_webhooks, topic="seals", gather=20 * MILLISECOND, limit=HOUR),
        Job("webhooks-forget", HOUR, forget_deliveries),
        Job("telemetry", 50 * MILLISECOND, _flush),
        Job("last-seen", SECOND, _flush_coarse),
        Job("last-used", MINUTE, _write_last_used),
        Job("proxies", MINUTE, _tell_of_proxies),
        Job("backup", MINUTE, BackupSchedule().back_up_when_due, limit=HOUR),
        Job("forget", 24 * HOUR, partial(forget, kept=(*KEPT, *kept))),
    )
