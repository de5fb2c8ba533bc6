import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from keysat.jobs.runner import Runner
from keysat.jobs.schedule import SECOND, Job
from keysat.upkeep.shop import Shop
from tests.checkout.counter import LOOKER, Counter

pytestmark = pytest.mark.once
HOUR = timedelta(hours=1)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  the runner has no event for a test to wait on
            await asyncio.sleep(0.005)


class Counting:
    def __init__(self) -> None:
        self.runs = 0
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, _shop: Shop, _now: datetime) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.runs += 1
        self.at_once -= 1


async def test_a_job_runs_at_the_start_and_then_by_time(shop: Shop):
    often, rarely = Counting(), Counting()
    runner = Runner(shop, [Job("often", timedelta(milliseconds=5), often), Job("rarely", HOUR, rarely)])
    async with runner.running():
        await until(lambda: often.runs >= 3)
    assert rarely.runs == 1
    assert often.most_at_once == 1


async def test_a_resting_job_follows_a_clock_that_is_put_forward(shop: Shop, counter: Counter):
    rarely = Counting()
    runner = Runner(shop, [Job("rarely", HOUR, rarely)])
    async with runner.running():
        await until(lambda: rarely.runs == 1)
        counter.clock.move(counter.now + timedelta(days=31))
        await until(lambda: rarely.runs == 2)
        await until(lambda: runner.stalled(counter.now) == [])


async def test_a_commit_wakes_the_job_of_its_topic(shop: Shop):
    woken = Counting()
    async with Runner(shop, [Job("woken", HOUR, woken, topic="bell")]).running():
        await until(lambda: woken.runs == 1)
        async with shop.work(LOOKER) as work:
            work.wake("bell")
        await until(lambda: woken.runs == 2)


async def test_what_was_woken_during_a_run_is_not_lost(shop: Shop):
    woken = Counting()
    async with Runner(shop, [Job("woken", HOUR, woken, topic="bell")]).running():
        await until(lambda: woken.at_once == 1)
        async with shop.work(LOOKER) as work:
            work.wake("bell")
        await until(lambda: woken.runs == 2)


async def test_a_failing_job_is_shown_and_stops_no_other(shop: Shop, caplog: pytest.LogCaptureFixture):
    async def fail(_shop: Shop, _now: datetime) -> None:
        raise RuntimeError("broken")

    sound = Counting()
    runner = Runner(
        shop, [Job("broken", timedelta(milliseconds=5), fail), Job("sound", timedelta(milliseconds=5), sound)]
    )
    with caplog.at_level(logging.CRITICAL):
        async with runner.running():
            await until(lambda: sound.runs >= 5)
    health = {one.name: one for one in runner.health()}
    assert 1 <= health["broken"].failures < sound.runs  # its waits are longer
    assert (health["broken"].error, health["broken"].succeeded_at) == ("RuntimeError", None)
    assert (health["sound"].failures, health["sound"].succeeded_at) == (0, shop.now())


async def test_a_job_that_hangs_is_broken_off(shop: Shop):
    async def hang(_shop: Shop, _now: datetime) -> None:
        await asyncio.sleep(3600)

    runner = Runner(shop, [Job("hanging", HOUR, hang, limit=timedelta(milliseconds=20))])
    assert await runner.once(Job("hanging", HOUR, hang, limit=timedelta(milliseconds=20))) is False
    assert runner.health()[0].error == "TimeoutError"


async def test_the_present_run_is_finished_before_the_runner_stops(shop: Shop):
    slow = Counting()
    async with Runner(shop, [Job("slow", HOUR, slow)]).running():
        await until(lambda: slow.at_once == 1)
    assert slow.runs == 1


async def test_who_gathers_more_news_does_not_keep_the_runner_from_stopping(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("keysat.jobs.runner.STOP_SECONDS", 3600)  # after that long it would be broken off
    woken = Counting()
    runner = Runner(shop, [Job("woken", HOUR, woken, topic="bell", gather=HOUR)])
    async with asyncio.timeout(60):
        async with runner.running():
            await until(lambda: woken.runs == 1)
            async with shop.work(LOOKER) as work:
                work.wake("bell")
            await asyncio.sleep(0.05)  # it has heard, and gathers
    assert woken.runs == 1


async def test_a_job_without_a_good_run_is_stalled_after_a_while(shop: Shop, counter: Counter):
    async def fail(_shop: Shop, _now: datetime) -> None:
        raise RuntimeError("broken")

    job = Job("broken", SECOND, fail)
    runner = Runner(shop, [job])
    await runner.once(job)
    assert runner.stalled(counter.now + timedelta(minutes=1)) == []
    assert runner.stalled(counter.now + timedelta(minutes=3)) == ["broken"]
