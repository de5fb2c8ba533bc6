"""Which letters are owed, written down as the sealed events are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, select

from keysat.checkout.tables import Order, Purpose
from keysat.customers.tables import Customer
from keysat.infra.events import Actor
from keysat.infra.reader import Reader, Sealed, read_on
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.infra.work import Work
from keysat.letters.tables import LetterCursor, LetterId, LetterKind, LetterRow, LetterStatus
from keysat.letters.turns import turns
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Subscription

TOLD = {
    "order.fulfilled": LetterKind.RECEIPT,
    "recovery.link_made": LetterKind.RECOVERY,
    "subscription.renewal_pending": LetterKind.RENEWAL_PENDING,
    "subscription.renewed": LetterKind.RENEWED,
    "subscription.past_due": LetterKind.PAST_DUE,
    "subscription.lapsed": LetterKind.LAPSED,
    "subscription.cancelled": LetterKind.CANCELLED,
    "subscription.price_changed": LetterKind.PRICE_CHANGED,
    "subscription.auto_charge_failed": LetterKind.CARD_DECLINED,
    "license.tier_changed": LetterKind.TIER_CHANGED,
}
"""Events that a buyer is told of. The event's subject is the letter's."""
ONLY_ONE = frozenset({LetterKind.RECEIPT, LetterKind.RECOVERY})
ONE_A_CYCLE = frozenset({LetterKind.RENEWAL_PENDING, LetterKind.RENEWED, LetterKind.CARD_DECLINED})
NEW_LICENSE = frozenset({Purpose.PURCHASE, Purpose.MANUAL})
"""What a receipt is for: other orders are told of by what they did to the license."""
YOUNGEST = timedelta(hours=24)
"""Older news make no letter: mail that is set up in an old shop begins with the last day, not with its first."""
POSTMAN = Actor("job:letters")


@dataclass(frozen=True, slots=True)
class News:
    kind: LetterKind
    subject: UUID
    occasion: int


class Numbered(msgspec.Struct, frozen=True):
    cycle_number: int


async def follow(store: Store, now: datetime) -> int:
    """Read on to the last sealed event. Returns how many letters are new. Safe from any number of processes."""
    reader = Reader(POSTMAN, LetterCursor.begun, LetterCursor.move, _owe)
    return await read_on(reader, store, now, EventRow.name.in_(TOLD), EventRow.at > now - YOUNGEST)


def _news(event: Sealed) -> News:
    kind = TOLD[event.name]
    return News(kind, UUID(event.subject), _occasion(kind, event.position, event.body))


def _occasion(kind: LetterKind, position: int, body: str) -> int:
    if kind in ONLY_ONE:
        return 0
    return msgspec.json.decode(body, type=Numbered).cycle_number if kind in ONE_A_CYCLE else position


async def _owe(work: Work, events: Sequence[Sealed]) -> int:
    """An anonymous buyer is owed none."""
    news = [_news(event) for event in events]
    reachable = await _with_address(work, Order, _of(news, LetterKind.RECEIPT), Order.purpose.in_(NEW_LICENSE))
    reachable |= await _with_address(work, License, _of(news, LetterKind.TIER_CHANGED))
    of_subscriptions = set(LetterKind) - ONLY_ONE - {LetterKind.TIER_CHANGED}
    reachable |= await _with_address(work, Subscription, _of(news, *of_subscriptions))
    reachable |= _of(news, LetterKind.RECOVERY)
    owed = [each for each in news if each.subject in reachable]
    if not owed:
        return 0
    waits = await turns(work, [(each.kind, each.subject) for each in owed])
    rows = [
        {
            "id": LetterId(work.new_id()),
            "kind": each.kind,
            "subject": each.subject,
            "occasion": each.occasion,
            "status": LetterStatus.WAITING,
            "status_at": work.now,
            "created_at": work.now,
            "next_try_at": waits.get((each.kind, each.subject), work.now),
            "failures": 0,
        }
        for each in owed
    ]
    await work.session.execute(
        work.insert(LetterRow).values(rows).on_conflict_do_nothing(index_elements=["kind", "subject", "occasion"])
    )
    return len(owed)


def _of(news: Sequence[News], *kinds: LetterKind) -> set[UUID]:
    return {each.subject for each in news if each.kind in kinds}


async def _with_address(
    work: Work, model: type[Order | License | Subscription], ids: set[UUID], *which: ColumnElement[bool]
) -> set[UUID]:
    """Those of these rows whose buyer gave one."""
    if not ids:
        return set()
    query = select(model.id).join(Customer, Customer.id == model.customer_id)
    return set(await work.session.scalars(query.where(model.id.in_(ids), Customer.email.is_not(None), *which)))
