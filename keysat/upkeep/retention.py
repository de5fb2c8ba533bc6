"""What is kept for how long, as one table. Whatever is not named here is kept for good: the books, events, licenses.

The operator changes the days of some by name: `KEYSAT_KEEP_DAYS=addresses=90,validations=30`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, tuple_

from keysat.infra.events import Actor
from keysat.infra.tables import Base, EventOrigin, EventRow, OneTimeLink
from keysat.infra.telemetry import DAYS_KEPT
from keysat.operators import sessions
from keysat.operators.tables import ApiKey, Session
from keysat.payments.tables import ConnectRequest, NudgeRow
from keysat.upkeep.shop import Shop
from keysat.webhooks import forget as webhooks

FORGETTER = Actor("job:forget")
AT_ONCE = 5000  # rows in one transaction, so that nobody waits for the write lock
ADDRESSES, VALIDATIONS = "addresses", "validations"


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of `model` go when the moment in their column `since` is longer ago than `span`.

    `name`: by which the operator changes the days; one without stands fast.
    """

    model: type[Base]
    since: str
    span: timedelta
    name: str = ""


KEPT = (
    Kept(NudgeRow, "received_at", timedelta(days=60), "nudges"),
    Kept(OneTimeLink, "expires_at", timedelta(days=1)),
    Kept(ConnectRequest, "created_at", timedelta(days=1)),
    Kept(Session, "seen_at", sessions.IDLE),
    Kept(Session, "created_at", sessions.LIFE),
    Kept(ApiKey, "revoked_at", timedelta(days=400)),
    Kept(ApiKey, "expires_at", timedelta(days=400)),
)
SPANS: Mapping[str, timedelta] = {ADDRESSES: timedelta(days=400), VALIDATIONS: timedelta(days=DAYS_KEPT)}
"""Of what is no table of its own: who caused an event and from where; how often a license was asked for."""


@dataclass(frozen=True, slots=True)
class Term:
    """A line for people: what is forgotten, how long after which moment."""

    what: str
    since: str
    span: timedelta
    name: str = ""


def terms(days: Mapping[str, int], kept: Sequence[Kept] = KEPT) -> list[Term]:
    """All of them, as they hold with the operator's days."""
    told = [Term(one.model.__tablename__, one.since, _span(days, one.name, one.span), one.name) for one in kept]
    told += [Term("webhook_deliveries", f"{status} at", span) for status, span in webhooks.KEPT.items()]
    spans = _spans(days)
    told.append(Term("event_origins", "events.at", spans[ADDRESSES], ADDRESSES))
    told.append(Term("telemetry.outcomes", "day", spans[VALIDATIONS], VALIDATIONS))
    return told


async def forget(shop: Shop, now: datetime, kept: Sequence[Kept] = KEPT) -> None:
    """But for deliveries, which have a job of their own."""
    days = shop.settings.keep_days
    for one in kept:
        before = now - _span(days, one.name, one.span)
        await _forget_rows(shop, now, one.model, one.model.__table__.c[one.since] < before)
    spans = _spans(days)
    await _forget_origins(shop, now, now - spans[ADDRESSES])
    await shop.telemetry.forget(now.date() - spans[VALIDATIONS])


async def _forget_origins(shop: Shop, now: datetime, before: datetime) -> None:
    """Events are numbered nearly in the order of their times: those up to the first that is young enough."""
    async with shop.read() as read:
        first_kept = select(EventRow.id).where(EventRow.at >= before).order_by(EventRow.at, EventRow.id).limit(1)
        first = await read.session.scalar(first_kept)
    old = EventOrigin.event_id < first if first is not None else EventOrigin.event_id.is_not(None)
    await _forget_rows(shop, now, EventOrigin, old)


async def _forget_rows(shop: Shop, now: datetime, model: type[Base], which: ColumnElement[bool]) -> None:
    key: list[Any] = list(model.__table__.primary_key)
    part = select(*key).where(which).limit(AT_ONCE)
    while True:
        async with shop.store.work(now, FORGETTER) as work:
            gone = delete(model).where(tuple_(*key).in_(part)).returning(key[0])
            ids = await work.session.scalars(gone.execution_options(synchronize_session=False))
            if len(ids.all()) < AT_ONCE:
                return


def _spans(days: Mapping[str, int]) -> Mapping[str, timedelta]:
    return {name: _span(days, name, span) for name, span in SPANS.items()}


def _span(days: Mapping[str, int], name: str, span: timedelta) -> timedelta:
    return timedelta(days=days[name]) if name in days else span
