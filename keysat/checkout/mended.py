"""Subscriptions that were parked for a trouble that is over: they are tried again by themselves."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from keysat.checkout.renew import NO_PROVIDER, NO_RATE, REFUSED, UNREACHABLE
from keysat.infra.work import Read
from keysat.payments.rates.board import RateBoard
from keysat.payments.rates.pins import pin_of
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.subscriptions.tables import Subscription, SubscriptionId

OF_THE_PROVIDER = frozenset({NO_PROVIDER, UNREACHABLE, REFUSED})
"""All other reasons a person mends, and says so (`subscribed.retry`)."""


async def mended(read: Read, board: RateBoard, most: int) -> Sequence[SubscriptionId]:
    """Those to `unpark`, the oldest first: a rate is known again, or a connection that sells was found well since."""
    parked = select(Subscription).where(Subscription.parked_at.is_not(None)).order_by(Subscription.parked_at)
    waits = Subscription.parked_reason.in_({NO_RATE, *OF_THE_PROVIDER})
    rows = (await read.session.scalars(parked.where(waits).limit(most))).all()
    if not rows:
        return ()
    priced = {currency: await _is_priced(read, board, currency) for currency in _without_rate(rows)}
    served = await _served_at(read)
    return [
        row.id
        for row in rows
        if (priced[row.listed_currency] if row.parked_reason == NO_RATE else _is_since(served, row.parked_at))
    ]


def _without_rate(rows: Sequence[Subscription]) -> set[str]:
    return {row.listed_currency for row in rows if row.parked_reason == NO_RATE}


async def _is_priced(read: Read, board: RateBoard, currency: str) -> bool:
    pin = await pin_of(read, currency)
    board.warm(currency, pin)  # for the next pass, where it is not known yet
    return board.peek(currency, pin) is not None


async def _served_at(read: Read) -> datetime | None:
    """When a connection that sells was found well, the last time."""
    seen = select(ConnectionRow.checked_at, ConnectionRow.health)
    looked = await read.session.execute(seen.where(ConnectionRow.status == ConnectionStatus.ACTIVE))
    well = [at for at, health in looked if at and health and health["reachable"] and health["authorized"]]
    return max(well, default=None)


def _is_since(served: datetime | None, parked_at: datetime | None) -> bool:
    return served is not None and parked_at is not None and served > parked_at
