import re
from datetime import timedelta

import pytest
from litestar import get

from keysat.kit.errors import RateLimited
from keysat.upkeep.shop import Shop
from keysat.web.throttle import LIMITS, Rate, Throttle, headers
from keysat.web.visit import limited
from tests.conftest import NOON
from tests.web.conftest import browse, doors_of

SECOND = timedelta(seconds=1)


def test_every_rate_has_a_limit() -> None:
    assert set(LIMITS) == set(Rate)


def test_the_burst_is_let_through_and_then_one_at_a_time() -> None:
    throttle = Throttle()
    for _ in range(60):
        throttle.check(Rate.LICENSE, "a", NOON)
    with pytest.raises(RateLimited) as refused:
        throttle.check(Rate.LICENSE, "a", NOON)
    assert refused.value.retry_after_seconds == 1
    throttle.check(Rate.LICENSE, "a", NOON + SECOND)
    assert not throttle.allows(Rate.LICENSE, "a", NOON + SECOND).allowed


def test_keys_and_rates_do_not_share_a_bucket() -> None:
    throttle = Throttle()
    while throttle.allows(Rate.PURCHASE, "a", NOON).allowed:
        pass
    assert throttle.allows(Rate.PURCHASE, "b", NOON).allowed
    assert throttle.allows(Rate.PREVIEW, "a", NOON).allowed


def test_it_forgets_the_bucket_that_was_idle_longest() -> None:
    throttle = Throttle(buckets_max=2)
    while throttle.allows(Rate.PURCHASE, "old", NOON).allowed:
        pass
    throttle.allows(Rate.PURCHASE, "new", NOON)
    throttle.allows(Rate.PURCHASE, "newer", NOON)
    assert throttle.allows(Rate.PURCHASE, "old", NOON).remaining == 19


def test_switched_off_it_lets_everything_through() -> None:
    throttle = Throttle(off=True)
    for _ in range(1000):
        throttle.check(Rate.PURCHASE, "a", NOON)


@get("/v1/dear", guards=[limited(Rate.PURCHASE)])
async def dear() -> None: ...


async def test_a_guarded_handler_is_not_reached_too_often(shop: Shop) -> None:
    async with browse(doors_of(shop, dear)) as client:
        answers = [await client.get("/v1/dear") for _ in range(21)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429]
    assert [answer.headers.get_list("retry-after") for answer in answers] == [[]] * 20 + [["6"]]


def test_the_headers_name_policy_and_rest() -> None:
    throttle = Throttle()
    decision = throttle.allows(Rate.NUDGE, "a", NOON)
    assert headers(Rate.NUDGE, decision) == {
        "RateLimit-Policy": '"nudge";q=300;w=15',
        "RateLimit": '"nudge";r=299;t=1',
    }


@pytest.mark.parametrize(
    ("rate", "said"), [(Rate.LICENSE, "in 1 s."), (Rate.CLAIM, "in 10 min."), (Rate.TRIAL, "in 8 h.")]
)
def test_how_long_to_wait_is_said_in_words_that_a_person_waits_by(rate: Rate, said: str) -> None:
    throttle = Throttle()
    for _ in range(LIMITS[rate].burst):
        throttle.check(rate, "a", NOON)
    with pytest.raises(RateLimited, match=re.escape(said)):
        throttle.check(rate, "a", NOON)
