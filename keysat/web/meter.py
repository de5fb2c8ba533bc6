"""What is watched of the doors: a log line for each request, and the figures of /metrics.

Both name the route's template, never a path or a query: those hold ids.
"""

from prometheus_client import CollectorRegistry, Histogram

from keysat.infra import log
from keysat.web.visit import Visit

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NOWHERE = "none"
"""The route of a request that met none."""

_log = log.get(__name__)


class Meter:
    """Of one process, since it started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "keysat_http_request_duration_seconds",
            "Requests answered, by route, method and status.",
            ("route", "method", "status"),
            buckets=BUCKETS_SECONDS,
            registry=self.registry,
        )

    def answered(self, visit: Visit, method: str, route: str, status: int | None, seconds: float) -> None:
        """`status` None: whoever asked went away before there was an answer."""
        method = method if method in METHODS else "OTHER"
        self._requests.labels(route, method, str(status or 0)).observe(seconds)
        _log.request(
            request=visit.request_id,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            actor=visit.actor.kind,
            credential=visit.actor.credential,
        )
