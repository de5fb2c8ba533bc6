"""What is kept for a while and then forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete

from keysat.infra.events import Actor
from keysat.infra.tables import Base, OneTimeLink
from keysat.operators import sessions
from keysat.operators.tables import ApiKey, Session
from keysat.payments.tables import NudgeRow
from keysat.upkeep.shop import Shop

FORGETTER = Actor("job:forget")


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of `model` go when the moment in their column `since` is longer ago than `span`."""

    model: type[Base]
    since: str
    span: timedelta


KEPT = (
    Kept(NudgeRow, "received_at", timedelta(days=60)),
    Kept(OneTimeLink, "expires_at", timedelta(days=1)),
    Kept(Session, "seen_at", sessions.IDLE),
    Kept(Session, "created_at", sessions.LIFE),
    Kept(ApiKey, "revoked_at", timedelta(days=400)),
    Kept(ApiKey, "expires_at", timedelta(days=400)),
)


async def forget(shop: Shop, now: datetime, kept: Sequence[Kept] = KEPT) -> None:
    for one in kept:
        since = one.model.__table__.c[one.since]
        async with shop.store.work(now, FORGETTER) as work:
            await work.session.execute(
                delete(one.model).where(since < now - one.span).execution_options(synchronize_session=False)
            )
    await shop.telemetry.forget(now.date())
