from dataclasses import replace
from datetime import timedelta

import pytest

from keysat.checkout.tables import OrderStatus
from keysat.licenses.tables import LicenseStatus
from keysat.web.public.progress import MOVING, Facts, Progress, progress, refresh_seconds
from tests.conftest import NOON

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
AWAITING = Facts(
    status=OrderStatus.AWAITING,
    expires_at=NOON + 15 * MINUTE,
    takes_late=True,
    was_opened=True,
    money_seen=False,
    money_missing=True,
    money_refused=False,
    watch_until=NOON + 14 * DAY,
    license_status=None,
)


@pytest.mark.parametrize("status", OrderStatus)
def test_every_state_of_an_order_has_a_page(status: OrderStatus):
    assert progress(replace(AWAITING, status=status), NOON) in Progress


def test_paid_is_only_said_of_what_is_paid():
    claims = {
        status
        for status in OrderStatus
        if progress(replace(AWAITING, status=status, license_status=LicenseStatus.ACTIVE), NOON)
        in (Progress.READY, Progress.FINISHING)
    }
    assert claims == {OrderStatus.PAID, OrderStatus.FULFILLED}


def test_a_payment_that_ran_out_is_not_called_final_while_late_money_counts():
    expired = replace(AWAITING, status=OrderStatus.EXPIRED)
    assert progress(expired, NOON + DAY) == Progress.EXPIRED
    assert progress(replace(expired, money_seen=True), NOON + DAY) == Progress.LATE
    assert progress(expired, NOON + DAY + 15 * MINUTE) == Progress.OVER
    assert progress(replace(expired, money_seen=True), NOON + 3 * DAY) == Progress.LATE  # and not asked for again
    change = replace(expired, takes_late=False)  # of a tier, which another took the place of
    assert progress(change, NOON) == Progress.OVER
    assert progress(replace(change, money_seen=True), NOON) == Progress.LATE


def test_the_page_looks_again_by_itself_as_long_as_anything_may_still_come():
    at_rest = {Progress.READY, Progress.WITHDRAWN, Progress.INVALID, Progress.NOT_OPENED}
    assert set(Progress) - MOVING == at_rest


def test_when_the_time_is_up_but_nobody_has_looked_the_page_says_just_that():
    assert progress(AWAITING, NOON + 14 * MINUTE) == Progress.WAITING
    assert progress(AWAITING, NOON + 15 * MINUTE) == Progress.TIME_UP


def test_money_that_is_there_is_not_called_missing():
    part = replace(AWAITING, money_seen=True, money_missing=True)
    assert progress(part, NOON) == Progress.PART_PAID
    assert progress(replace(part, money_missing=False), NOON) == Progress.SEEN
    assert progress(part, NOON + 15 * MINUTE) == Progress.TIME_UP
    assert Progress.PART_PAID in MOVING


def test_a_license_that_was_taken_back_shows_no_key():
    sold = replace(AWAITING, status=OrderStatus.FULFILLED)
    for status in (LicenseStatus.SUSPENDED, LicenseStatus.REVOKED):
        assert progress(replace(sold, license_status=status), NOON) == Progress.WITHDRAWN


def test_a_refused_invoice_is_told_from_an_invalid_payment():
    invalid = replace(AWAITING, status=OrderStatus.INVALID)
    assert progress(invalid, NOON) == Progress.INVALID
    assert progress(replace(invalid, was_opened=False), NOON) == Progress.NOT_OPENED


def test_a_browser_without_javascript_asks_less_and_less_often():
    assert [refresh_seconds(minutes * MINUTE) for minutes in (0, 2, 10, 30)] == [5, 10, 30, 60]
