"""How something is that can fail, in one sentence for the operator."""

from dataclasses import dataclass

from keysat.infra.written import date_and_time
from keysat.webhooks.health import EndpointHealth
from keysat.webhooks.tables import Endpoint


@dataclass(frozen=True, slots=True)
class Finding:
    """`tone` is good, odd or bad."""

    tone: str
    words: str


def of_endpoint(one: Endpoint, health: EndpointHealth) -> Finding:
    """Pure. Whether a receiver takes what it is told."""
    owed = f" {_count(health.pending, 'delivery waits', 'deliveries wait')}." if health.pending else ""
    dead = f" {_count(health.dead_letters, 'dead letter', 'dead letters')}." if health.dead_letters else ""
    if not one.active:
        return Finding("odd", f"Paused.{owed}{dead}")
    if health.failing_since is not None:
        since, times = date_and_time(health.failing_since), _count(health.consecutive_failures, "failure", "failures")
        return Finding("bad", f"It fails since {since}, {times} in a row: {health.last_failure}.{owed}{dead}")
    if health.last_success_at is None:
        return Finding("odd" if dead else "good", f"It was told nothing yet.{owed}{dead}")
    took = f"It is well: it took the last message on {date_and_time(health.last_success_at)}."
    return Finding("odd" if dead else "good", f"{took}{owed}{dead}")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
