"""Times are moments, whatever zone they came in: both databases compare and sort them so."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow
from tests.conftest import TESTER

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
ZONES = (timezone(timedelta(hours=-11)), UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=14)))


async def test_moments_of_any_zone_are_compared_as_moments(store: Store) -> None:  # W-28, W-43, D-30
    for number, zone in enumerate(ZONES):
        at = (NOON + timedelta(seconds=number)).astimezone(zone)
        async with store.work(at, TESTER) as work:
            await work.attend("test", str(number), "reason")
    late = NOON + timedelta(seconds=2)
    for zone in ZONES:
        async with store.read() as read:
            query = select(AttentionRow).where(AttentionRow.called_at >= late.astimezone(zone))
            rows = (await read.session.scalars(query.order_by(AttentionRow.called_at))).all()
        assert [row.called_at for row in rows] == [late, late + timedelta(seconds=1)]
        assert {row.called_at.tzinfo for row in rows} == {UTC}


async def test_a_time_without_a_zone_is_not_stored(store: Store) -> None:
    with pytest.raises((StatementError, ValueError), match="without a zone"):
        async with store.work(NOON.replace(tzinfo=None), TESTER) as work:
            await work.attend("test", "subject", "reason")
