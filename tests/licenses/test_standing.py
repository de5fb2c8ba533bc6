"""Which tier a license enjoys, and until when."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from keysat.licenses.facts import Facts
from keysat.licenses.standing import Grant, PaidTime, Source, Standing, grace_end, signed_expiry, standing
from keysat.licenses.tables import License, LicenseStatus
from tests.conftest import NOON

pytestmark = pytest.mark.once

OWN, GIVEN, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 2020 to 2040
moments = some.integers(1_577_836_800_000_000, 2_208_988_800_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))
ends = some.none() | moments


def facts(**fields: object) -> Facts:
    base = Facts(
        license_id=UUID(int=8),
        product_id=UUID(int=9),
        product_slug="app",
        policy_id=OWN,
        issuer_key_id=UUID(int=10),
        status=LicenseStatus.ACTIVE,
        issued_at=NOON,
        keys_valid_from=None,
        expires_at=None,
        grace_seconds=0,
        max_machines=1,
        seats_taken=0,
        seats_evict_after_days=None,
        entitlements=[],
        is_trial=False,
    )
    return msgspec.structs.replace(base, **fields)


@given(ends, moments)
def test_without_grants_a_license_enjoys_its_own_tier(end: datetime | None, now: datetime) -> None:
    assert standing(facts(expires_at=end), (), None, now) == Standing(OWN, end, Source.OWN)


def test_paid_time_is_the_truth_about_the_end() -> None:
    paid = PaidTime(NOON + 30 * DAY)
    assert standing(facts(expires_at=NOON), (), paid, NOON).until == NOON + 30 * DAY


def test_among_running_grants_the_highest_rank_wins_then_the_latest_end() -> None:
    low = Grant(GIVEN, 1, NOON, NOON + DAY)
    high = Grant(OTHER, 2, NOON, NOON + DAY)
    assert standing(facts(), (low, high), None, NOON, own_rank=1).tier == OTHER
    assert standing(facts(), (low,), None, NOON, own_rank=1).tier == OWN  # for ever is later than any end
    mine = facts(expires_at=NOON + DAY)
    later = Grant(GIVEN, 1, NOON, NOON + 2 * DAY)
    assert standing(mine, (later,), None, NOON, own_rank=1) == Standing(GIVEN, NOON + 2 * DAY, Source.GRANT)


def test_a_grant_counts_while_it_runs_and_outlives_an_expired_license() -> None:
    grant = Grant(GIVEN, 5, NOON, NOON + DAY)
    assert standing(facts(), (grant,), None, NOON - DAY).tier == OWN
    assert standing(facts(), (grant,), None, NOON + DAY).tier == OWN
    over = facts(expires_at=NOON - DAY)
    low = Grant(OTHER, 0, NOON, NOON + DAY)
    assert standing(over, (low,), None, NOON, own_rank=9).tier == OTHER


@given(moments, some.integers(0, 10**9))
def test_one_grace_serves_all(end: datetime, grace: int) -> None:
    assert grace_end(facts(expires_at=end, grace_seconds=grace)) == end + timedelta(seconds=grace)
    signed = int(end.timestamp())
    assert signed_expiry(License(expires_at=end, grace_seconds=grace, is_subscribed=False)) == signed
    assert signed_expiry(License(expires_at=end, grace_seconds=grace, is_subscribed=True)) == signed + grace


def test_what_never_ends_has_no_grace_and_signs_zero() -> None:
    assert grace_end(facts(grace_seconds=60)) is None
    assert signed_expiry(License(expires_at=None, grace_seconds=60, is_subscribed=True)) == 0


def test_an_end_in_the_first_second_of_unix_time_is_not_never() -> None:
    assert signed_expiry(License(expires_at=EPOCH, grace_seconds=0, is_subscribed=False)) == 1


def test_a_grace_beyond_the_calendar_ends_with_it() -> None:
    for_ever = facts(expires_at=NOON, grace_seconds=10**12)
    assert grace_end(for_ever) == datetime.max.replace(tzinfo=UTC)
    assert standing(for_ever, (Grant(GIVEN, 0, NOON, None),), None, NOON + DAY, own_rank=1).tier == OWN
