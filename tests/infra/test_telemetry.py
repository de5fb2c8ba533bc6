"""Telemetry: grouped, flushed, bounded, and never in anybody's way."""

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from keysat.infra import telemetry as module
from keysat.infra.telemetry import DAYS_KEPT, Telemetry
from keysat.kit.errors import Unavailable
from tests.conftest import NOON

ONE, TWO = UUID(int=1), UUID(int=2)
HOUR = timedelta(hours=1)
TODAY = NOON.date()


@pytest.fixture
def telemetry_url(database_url: str, database_kind: str, tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'telemetry.db'}" if database_kind == "sqlite" else database_url


@pytest.fixture
async def telemetry(telemetry_url: str) -> AsyncGenerator[Telemetry, None]:
    telemetry = Telemetry(telemetry_url)
    yield telemetry
    await telemetry.close()


async def test_counts_add_up_over_flushes_and_daemons(telemetry: Telemetry, telemetry_url: str) -> None:
    other = Telemetry(telemetry_url)
    for daemon in (telemetry, other, telemetry):
        daemon.count("ok", ONE, NOON)
        daemon.count("ok", ONE, NOON)
        daemon.count("expired", ONE, NOON)
        daemon.count("bad_format", None, NOON)
        await daemon.flush()
    assert await telemetry.outcomes_of(ONE, TODAY) == {"ok": 6, "expired": 3}
    assert await telemetry.outcomes_of(None, TODAY) == {"bad_format": 3}
    assert await telemetry.outcomes_of(TWO, TODAY) == {}
    await other.close()


async def test_last_seen_never_goes_back(telemetry: Telemetry) -> None:
    for at in (NOON, NOON + HOUR, NOON + HOUR / 2):
        telemetry.seen(ONE, at)
        await telemetry.flush()
    assert await telemetry.last_seen([ONE, TWO]) == {ONE: NOON + HOUR}


async def test_what_was_flushed_survives_and_an_empty_flush_writes_nothing(telemetry_url: str) -> None:
    first = Telemetry(telemetry_url)
    first.seen(ONE, NOON)
    await first.close()
    second = Telemetry(telemetry_url)
    await second.flush()
    assert await second.last_seen([ONE]) == {ONE: NOON}
    await second.close()


async def test_coarse_times_go_on_when_they_are_six_hours_old_and_wait_for_a_busy_house(telemetry: Telemetry) -> None:
    told: list[dict[UUID, datetime]] = []
    is_busy = True

    async def on_coarse(seen: Mapping[UUID, datetime]) -> None:
        if is_busy:
            raise Unavailable("busy")
        told.append(dict(seen))

    telemetry.on_coarse = on_coarse
    telemetry.seen(ONE, NOON, NOON - 6 * HOUR)
    telemetry.seen(TWO, NOON, NOON - 5 * HOUR)
    await telemetry.flush_coarse()
    is_busy = False
    await telemetry.flush_coarse()
    await telemetry.flush_coarse()
    assert told == [{ONE: NOON}]


async def test_queues_are_bounded_and_count_what_they_drop(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_MOST", 2)
    for outcome in ("a", "a", "b", "c"):
        telemetry.count(outcome, ONE, NOON)
    for number in range(3):
        telemetry.seen(UUID(int=number), NOON)
    await telemetry.flush()
    assert telemetry.dropped == 3
    assert await telemetry.outcomes_of(ONE, TODAY) == {"b": 1, "c": 1}
    assert set(await telemetry.last_seen([UUID(int=number) for number in range(3)])) == {ONE, TWO}


@pytest.mark.once
async def test_a_file_that_cannot_be_written_costs_counts_and_nothing_else(tmp_path: Path, database_kind: str) -> None:
    with closing(sqlite3.connect(tmp_path / "telemetry.db")) as file:
        file.execute("CREATE VIEW outcomes AS SELECT 1")
    telemetry = Telemetry(f"sqlite+aiosqlite:///{tmp_path / 'telemetry.db'}")
    telemetry.count("ok", ONE, NOON)
    telemetry.seen(ONE, NOON)
    await telemetry.flush()
    assert telemetry.dropped == 2
    await telemetry.close()


async def test_old_counts_are_forgotten(telemetry: Telemetry) -> None:
    telemetry.count("ok", ONE, NOON - timedelta(days=DAYS_KEPT + 1))
    telemetry.count("ok", ONE, NOON - timedelta(days=DAYS_KEPT))
    await telemetry.flush()
    await telemetry.forget(TODAY - timedelta(days=DAYS_KEPT))
    assert await telemetry.outcomes_of(ONE, TODAY - timedelta(days=999)) == {"ok": 1}
