"""For who watches the server: whether it lives, whether it can work, and its figures."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from litestar import Response, get
from litestar.datastructures import State
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from keysat.kit.errors import Unavailable
from keysat.operators.scopes import Scope
from keysat.web.auth import admin_only, needs
from keysat.web.gauges import Gauge, gauges, unreachable_providers
from keysat.web.meter import Meter
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithShop, WithVisit
from keysat.web.wire import Outbound


class JobHealth(Protocol):
    """`failures` in a row."""

    @property
    def name(self) -> str: ...

    @property
    def succeeded_at(self) -> datetime | None: ...

    @property
    def failures(self) -> int: ...


class Jobs(Protocol):
    """What the doors may know of the jobs that run beside them."""

    def stalled(self, now: datetime) -> Sequence[str]: ...

    def health(self) -> Sequence[JobHealth]: ...


class _NoJobs:
    def stalled(self, now: datetime) -> Sequence[str]:
        return ()

    def health(self) -> Sequence[JobHealth]:
        return ()


NO_JOBS: Jobs = _NoJobs()


class Health(Outbound, frozen=True, kw_only=True):
    ok: bool = True


class Readiness(Health, frozen=True, kw_only=True):
    """`unreachable_providers`: licenses go on being verified meanwhile, so that the server is ready nevertheless."""

    unreachable_providers: list[str]


@get("/healthz", operation_id="getHealth")
async def healthz() -> Health:
    """The process answers."""
    return Health()


@get("/readyz", operation_id="getReadiness", responses=refusals(503))
async def readyz(read: WithRead, visit: WithVisit, state: State) -> Readiness:
    """The database answers and no job has stopped; and which payment providers do not answer."""
    unreachable = await unreachable_providers(read)
    if stalled := state.jobs.stalled(visit.now):
        raise Unavailable(f"These jobs have stopped: {', '.join(stalled)}.")
    return Readiness(unreachable_providers=unreachable)


@get("/metrics", guards=[admin_only], opt=needs(Scope.METRICS_READ), include_in_schema=False)
async def metrics(read: WithRead, shop: WithShop, visit: WithVisit, state: State) -> Response[bytes]:
    """Prometheus' text format: requests since this process started, jobs, and what waits in the database."""
    meter: Meter = state.meter
    found = [*await gauges(read, shop, visit.now), *_of_jobs(state.jobs)]
    counted = CollectorRegistry()
    counted.register(_Found(found))
    return Response(generate_latest(meter.registry) + generate_latest(counted), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _of_jobs(jobs: Jobs) -> Iterator[Gauge]:
    health = jobs.health()
    succeeded: Mapping[tuple[str, ...], float] = {
        (job.name,): job.succeeded_at.timestamp() for job in health if job.succeeded_at is not None
    }
    yield Gauge("job_succeeded_timestamp_seconds", "When the job last had a good run.", succeeded, ("job",))
    failures: Mapping[tuple[str, ...], float] = {(job.name,): job.failures for job in health}
    yield Gauge("job_failures", "Failed runs of the job in a row.", failures, ("job",))


class _Found(Collector):
    def __init__(self, found: Sequence[Gauge]) -> None:
        self._found = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauge in self._found:
            family = GaugeMetricFamily(f"keysat_{gauge.name}", gauge.help, labels=gauge.labels)
            for labels, value in gauge.values.items():
                family.add_metric(labels, value)
            yield family


ROUTES = (healthz, readyz, metrics)
