"""The runner: one loop a job inside the daemon's lifespan. No job runs twice at once, and none can stop another."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keysat.infra.log import get
from keysat.jobs.schedule import Job
from keysat.kit.backoff import Backoff
from keysat.upkeep.shop import Shop

STOP_SECONDS = 10  # for what is running when the daemon stops; after that it is broken off, and repeated at the start
CLOCK_READ_SECONDS = 1  # how soon a resting job sees that the clock of a demo was put forward
AFTER_ERROR = Backoff((timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=15)), then=timedelta(minutes=1))
STALLED_AFTER = timedelta(minutes=2)  # without a good run, beside what the job takes and rests anyway

log = get(__name__)


@dataclass(frozen=True, slots=True)
class JobHealth:
    """`failures` in a row; `error` is the last one's type, since its text may tell too much."""

    name: str
    started_at: datetime
    succeeded_at: datetime | None = None
    failures: int = 0
    error: str | None = None


class Runner:
    def __init__(self, shop: Shop, jobs: Sequence[Job]) -> None:
        self._shop = shop
        self._jobs = tuple(jobs)
        self._wakes = [shop.store.listen(job.topic) if job.topic else asyncio.Event() for job in self._jobs]
        self._health = {job.name: JobHealth(job.name, shop.now()) for job in self._jobs}
        self._stopping = asyncio.Event()

    def health(self) -> tuple[JobHealth, ...]:
        return tuple(self._health.values())

    def stalled(self, now: datetime) -> Sequence[str]:
        """Jobs that have had no good run for too long."""
        late: list[str] = []
        for job in self._jobs:
            health = self._health[job.name]
            last = health.succeeded_at or health.started_at
            patience = STALLED_AFTER if health.failures else job.limit + STALLED_AFTER
            if now - last > job.every + patience:
                late.append(job.name)
        return late

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Runs the jobs while the block lasts; then lets each finish what it is at."""
        self._stopping.clear()
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(self._loop(job, wake), name=f"job {job.name}")
                for job, wake in zip(self._jobs, self._wakes, strict=True)
            ]
            try:
                yield
            finally:
                self._stopping.set()
                for wake in self._wakes:
                    wake.set()
                await asyncio.wait(loops, timeout=STOP_SECONDS)
                for loop in loops:
                    loop.cancel()

    async def once(self, job: Job) -> bool:
        """One run, now. False: it failed; the error is logged and stands on `health`."""
        now = self._shop.now()
        known = self._health[job.name]
        try:
            async with asyncio.timeout(job.limit.total_seconds()):
                await job.act(self._shop, now)
        except Exception as error:  # one job's trouble stops neither it nor the others
            failed = replace(known, failures=known.failures + 1, error=type(error).__name__)
            self._health[job.name] = failed
            log.error("job.failed", error, job=job.name, failures=failed.failures)
            return False
        self._health[job.name] = replace(known, succeeded_at=now, failures=0, error=None)
        return True

    async def _loop(self, job: Job, wake: asyncio.Event) -> None:
        while not self._stopping.is_set():
            wake.clear()
            if await self.once(job):
                await self._rest(job, wake)
            else:
                await self._recover(job)

    async def _rest(self, job: Job, wake: asyncio.Event) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if self._stopping.is_set() else job.every.total_seconds()):
                await self._news(wake, self._shop.now() + job.every)
            await self._pause(job.gather)

    async def _news(self, wake: asyncio.Event, due: datetime) -> None:
        """A commit has woken the job, or the shop's clock went past `due` ahead of real time."""
        while not wake.is_set() and self._shop.now() < due:
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), CLOCK_READ_SECONDS)

    async def _recover(self, job: Job) -> None:
        """News do not shorten the wait after a failure, or a broken job would be tried at each commit."""
        await self._pause(AFTER_ERROR.after(self._health[job.name].failures) or job.every)

    async def _pause(self, span: timedelta) -> None:
        """Until then, or until the daemon stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), span.total_seconds())
