"""When keys and sessions were used last: noted in memory, written by a job, so that no request waits for it.

A crash forgets a minute of it. Who asks notes only what is worth writing, so the table is written every five minutes
at most for each.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import update

from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.work import Work
from keysat.operators.tables import ApiKey, ApiKeyId, Session, SessionId

COARSE = timedelta(minutes=5)
NOTED_MAX = 10_000
SEER = Actor("job:last-used")

Id = TypeVar("Id", ApiKeyId, SessionId)


class LastSeen:
    def __init__(self) -> None:
        self._keys: dict[ApiKeyId, datetime] = {}
        self._sessions: dict[SessionId, datetime] = {}

    def key(self, key_id: ApiKeyId, before: datetime | None, now: datetime) -> None:
        """`before`: what stands in the table."""
        if (before is None or now - before >= COARSE) and len(self._keys) < NOTED_MAX:
            self._keys[key_id] = now

    def session(self, session_id: SessionId, before: datetime, now: datetime) -> None:
        if now - before >= COARSE and len(self._sessions) < NOTED_MAX:
            self._sessions[session_id] = now

    async def flush(self, store: Store, now: datetime) -> None:
        """Nothing noted, nothing done."""
        if self._keys or self._sessions:
            async with store.work(now, SEER) as work:
                await self._write(work)

    async def _write(self, work: Work) -> None:
        """A time never goes back. Sorted, so that two daemons hold the rows in the same order."""
        for key_id, at in _taken(self._keys):
            later = ApiKey.used_at.is_(None) | (ApiKey.used_at < at)
            await work.session.execute(update(ApiKey).where(ApiKey.id == key_id, later).values(used_at=at))
        for session_id, at in _taken(self._sessions):
            await work.session.execute(
                update(Session).where(Session.id == session_id, Session.seen_at < at).values(seen_at=at)
            )


def _taken(noted: dict[Id, datetime]) -> Iterator[tuple[Id, datetime]]:
    found = sorted(noted.items())
    noted.clear()
    yield from found
