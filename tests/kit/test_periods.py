import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.errors import BadRequest
from keysat.kit.periods import COUNT_MAX, Period, Unit, cycle_end, length_days, zone_of

MONTHLY = Period(1, Unit.MONTH)
ZURICH = "Europe/Zurich"

periods = st.sampled_from(Unit).flatmap(lambda unit: st.builds(Period, st.integers(1, COUNT_MAX[unit]), st.just(unit)))
zones = st.sampled_from(["UTC", ZURICH, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
anchors = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ends(anchor: str, period: Period, cycles: int, zone: str = "UTC") -> list[str]:
    local = ZoneInfo(zone)
    found = [cycle_end(at(anchor), period, cycle, zone).astimezone(local) for cycle in range(1, cycles + 1)]
    return [end.strftime("%Y-%m-%d %H:%M") for end in found]


def test_month_ends_clamp_from_the_anchor_and_never_drift():
    assert ends("2025-01-31T12:00Z", MONTHLY, 4) == [
        "2025-02-28 12:00",
        "2025-03-31 12:00",
        "2025-04-30 12:00",
        "2025-05-31 12:00",
    ]


def test_a_leap_day_comes_back_in_the_next_leap_year():
    yearly = Period(1, Unit.YEAR)
    assert [end[:10] for end in ends("2024-02-29T00:00Z", yearly, 4)] == [
        *("2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"),
    ]


def test_wall_time_stays_when_summer_time_comes_and_goes():
    # 9 o'clock in Zurich is 8:00 UTC in winter and 7:00 in summer.
    assert ends("2026-03-28T08:00Z", Period(1, Unit.DAY), 2, ZURICH) == ["2026-03-29 09:00", "2026-03-30 09:00"]
    assert cycle_end(at("2026-03-28T08:00Z"), Period(1, Unit.DAY), 1, ZURICH) == at("2026-03-29T07:00Z")
    assert cycle_end(at("2026-03-28T08:00Z"), Period(8, Unit.MONTH), 1, ZURICH) == at("2026-11-28T08:00Z")


def test_the_day_of_the_month_is_the_shops_not_utcs():
    # 23:30 UTC on 30 January is 31 January in Zurich.
    assert ends("2026-01-30T23:30Z", MONTHLY, 2, ZURICH) == ["2026-02-28 00:30", "2026-03-31 00:30"]


def test_a_wall_time_that_does_not_exist_comes_later_by_the_jump():
    # 2026-03-29 02:30 is skipped in Zurich.
    assert cycle_end(at("2026-02-28T01:30Z"), Period(29, Unit.DAY), 1, ZURICH) == at("2026-03-29T01:30Z")
    assert ends("2026-02-28T01:30Z", Period(29, Unit.DAY), 1, ZURICH) == ["2026-03-29 03:30"]


def test_a_wall_time_that_exists_twice_is_its_first_occurrence():
    # 2026-10-25 02:30 happens at 00:30 UTC and again at 01:30 UTC.
    assert cycle_end(at("2026-09-25T00:30Z"), MONTHLY, 1, ZURICH) == at("2026-10-25T00:30Z")
    second = at("2026-10-25T01:30Z")
    assert cycle_end(second, MONTHLY, 0, ZURICH) == second
    assert cycle_end(second, MONTHLY, 1, ZURICH) == at("2026-11-25T01:30Z")
    assert cycle_end(second, Period(1, Unit.YEAR), 1, ZURICH) == at("2027-10-25T00:30Z")


@given(anchors, periods, st.integers(0, 30), zones)
def test_cycles_follow_each_other(anchor: datetime, period: Period, cycle: int, zone: str):
    start, end = cycle_end(anchor, period, cycle, zone), cycle_end(anchor, period, cycle + 1, zone)
    assert anchor <= start < end
    assert end.tzinfo is UTC


@given(anchors, periods, st.integers(1, 30), zones)
def test_the_zone_the_anchor_is_written_in_changes_nothing(anchor: datetime, period: Period, cycles: int, zone: str):
    elsewhere = anchor.astimezone(ZoneInfo("Pacific/Auckland"))
    assert cycle_end(elsewhere, period, cycles, zone) == cycle_end(anchor, period, cycles, zone)


@given(anchors, st.integers(1, 60), st.integers(1, 20), zones)
def test_a_cycle_of_months_is_within_a_day_of_its_calendar(anchor: datetime, count: int, cycles: int, zone: str):
    local = zone_of(zone)
    start = anchor.astimezone(local)
    end = cycle_end(anchor, Period(count, Unit.MONTH), cycles, zone).astimezone(local)
    assert 12 * (end.year - start.year) + end.month - start.month == count * cycles
    assert end.day <= start.day


@pytest.mark.parametrize(
    ("count", "unit"),
    [(0, Unit.DAY), (-1, Unit.MONTH), (1831, Unit.DAY), (61, Unit.MONTH), (6, Unit.YEAR)],
)
def test_a_period_has_its_limits(count: int, unit: Unit):
    with pytest.raises(BadRequest, match=f"{COUNT_MAX[unit]} {unit}s"):
        Period(count, unit)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "America", "../etc/passwd", "/etc/localtime", "\0", "é" * 300])
def test_an_unknown_zone_is_refused(name: str):
    with pytest.raises(BadRequest):
        zone_of(name)


def test_days_are_rounded_half_up():
    start = at("2026-01-01T00:00Z")
    assert length_days(start, start + timedelta(days=30, hours=11, minutes=59)) == 30
    assert length_days(start, start + timedelta(days=30, hours=12)) == 31
    assert length_days(at("2026-02-28T11:00Z"), at("2026-03-31T10:00Z")) == 31


def test_utc_needs_no_time_zone_database():
    # A process of its own, because zoneinfo keeps what it has read; -S keeps the tzdata package out of reach.
    script = (
        "from datetime import UTC, datetime\n"
        "from zoneinfo import ZoneInfo, ZoneInfoNotFoundError\n"
        "from keysat.kit.periods import Period, Unit, cycle_end\n"
        "try:\n    ZoneInfo('Europe/Zurich')\n"
        "except ZoneInfoNotFoundError:\n    pass\n"
        "else:\n    raise SystemExit('there is a database after all')\n"
        "print(cycle_end(datetime(2026, 1, 31, tzinfo=UTC), Period(1, Unit.MONTH), 1, 'UTC').isoformat())\n"
    )
    nowhere = {**os.environ, "PYTHONTZPATH": "", "PYTHONPATH": os.pathsep.join(["", *sys.path[:1], os.getcwd()])}
    ran = subprocess.run([sys.executable, "-S", "-c", script], env=nowhere, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("2026-02-28T00:00:00+00:00\n", "")
