"""Figures that nobody counts a million rows for: how many licenses of each tier, and what came in for orders.

Readers of the events: a job adds up what is sealed, and who asks adds what came since, so that the figures are right at
any moment. What was written without events (an import, a restored database of an older release) is counted anew.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select, text, update

from keysat.checkout.tables import Order, PaidHow
from keysat.infra.events import Actor
from keysat.infra.reader import Reader, Sealed, head, read_on
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, EventSeal, Tally
from keysat.infra.work import Read, Work
from keysat.licenses.tables import License

TOLD = ("license.issued", "license.tier_changed", "order.paid")
LICENSES, ORDERS, VALUE, SATS, POSITION = "licenses", "orders", "value", "sats", "position"
COUNTER = Actor("job:tally")

Figures = Counter[tuple[str, str]]
"""By name and key: licenses by `product/tier`, the others by currency, in its minor unit."""


class _Issued(msgspec.Struct, frozen=True):
    product_id: UUID
    policy_id: UUID | None


class _Changed(msgspec.Struct, frozen=True):
    product_id: UUID
    from_policy_id: UUID
    to_policy_id: UUID


class _Paid(msgspec.Struct, frozen=True):
    how: PaidHow
    listed_currency: str
    listed_value: int
    amount_sats: int | None


async def figures(read: Read) -> Figures:
    """As of now."""
    position = await _position(read)
    if position is None:
        return await _counted(read)
    rows = await read.session.execute(select(Tally.name, Tally.key, Tally.amount).where(Tally.name != POSITION))
    found: Figures = Counter({(name, key): amount for name, key, amount in rows})
    found.update(await _told(read, position))
    return found


async def license_count(read: Read) -> int:
    """Of any status, as of now."""
    return sum(count for (name, _), count in (await figures(read)).items() if name == LICENSES)


async def tally(store: Store, now: datetime) -> None:
    """Add up what was sealed since the last time. Safe from any number of processes."""
    async with store.read() as read:
        counted = await _position(read) is not None
    if counted:
        await read_on(Reader(COUNTER, _begun, _move, _add), store, now, EventRow.name.in_(TOLD))
        return
    async with store.work(now, COUNTER) as work:
        await _begin(work)


async def count_anew(work: Work) -> None:
    """After rows were written without events: the next to ask counts them."""
    await work.session.execute(delete(Tally))


async def broken(read: Read, _now: datetime) -> list[str]:
    """For the doctor: figures that are not what there is."""
    told, there = await figures(read), await _counted(read)
    wrong = {key for key in {*told, *there} if told[key] != there[key]}
    return [f"tally {name} {key}: {told[name, key]} instead of {there[name, key]}" for name, key in sorted(wrong)]


async def _begin(work: Work) -> None:
    """Less what is told by events that are still to be read."""
    if work.dialect == "postgresql":  # else something could be counted, and told by an event that is not seen yet
        await work.session.execute(text("LOCK TABLE licenses, orders IN SHARE MODE"))
    last = await head(work)
    row = work.insert(Tally).values(name=POSITION, key="", amount=last).on_conflict_do_nothing()
    if (await work.session.execute(row.returning(Tally.name))).first() is None:
        return  # another daemon was faster
    found = await _counted(work)
    found.subtract(await _told(work, last))
    await _write(work, found)


async def _begun(read: Read) -> int:
    return await _position(read) or 0


async def _move(work: Work, begun: int, upto: int) -> bool:
    is_there = Tally.name == POSITION, Tally.amount == begun
    moved = await work.session.execute(update(Tally).where(*is_there).values(amount=upto).returning(Tally.name))
    return moved.first() is not None


async def _add(work: Work, events: Sequence[Sealed]) -> int:
    await _write(work, _folded((event.name, event.body) for event in events))
    return len(events)


async def _write(work: Work, news: Figures) -> None:
    rows = [{"name": name, "key": key, "amount": amount} for (name, key), amount in sorted(news.items()) if amount]
    if rows:
        write = work.insert(Tally).values(rows)
        more = {"amount": Tally.amount + write.excluded.amount}
        await work.session.execute(write.on_conflict_do_update(index_elements=["name", "key"], set_=more))


async def _position(read: Read) -> int | None:
    return await read.session.scalar(select(Tally.amount).where(Tally.name == POSITION))


async def _told(read: Read, after: int) -> Figures:
    """By events, those not sealed yet too. One that is sealed meanwhile counts once."""
    told = select(EventRow.id, EventRow.name, EventRow.body).where(EventRow.name.in_(TOLD))
    sealed = told.join(EventSeal, EventSeal.event_id == EventRow.id).where(EventSeal.position > after)
    found: dict[int, tuple[str, str]] = {}
    for query in (told.where(~EventRow.sealed), sealed):
        found.update({event_id: (name, body) for event_id, name, body in await read.session.execute(query)})
    return _folded(found.values())


def _folded(events: Iterable[tuple[str, str]]) -> Figures:
    found: Figures = Counter()
    for name, body in events:
        match name:
            case "license.issued":
                issued = msgspec.json.decode(body, type=_Issued)
                found[_tier(issued.product_id, issued.policy_id)] += 1
            case "license.tier_changed":
                changed = msgspec.json.decode(body, type=_Changed)
                found[_tier(changed.product_id, changed.from_policy_id)] -= 1
                found[_tier(changed.product_id, changed.to_policy_id)] += 1
            case _:
                paid = msgspec.json.decode(body, type=_Paid)
                if paid.how is not PaidHow.FREE:
                    _add_orders(found, paid.listed_currency, 1, paid.listed_value, paid.amount_sats or 0)
    return found


async def _counted(read: Read) -> Figures:
    """Row by row."""
    found: Figures = Counter()
    licenses = select(License.product_id, License.policy_id, func.count()).group_by(
        License.product_id, License.policy_id
    )
    for product_id, policy_id, count in await read.session.execute(licenses):
        found[_tier(product_id, policy_id)] = count
    sums = func.count(), func.sum(Order.listed_value), func.sum(func.coalesce(Order.amount_sats, 0))
    orders = select(Order.listed_currency, *sums).where(Order.paid_how != PaidHow.FREE).group_by(Order.listed_currency)
    for currency, count, value, sats in await read.session.execute(orders):
        _add_orders(found, currency, count, int(value), int(sats))
    return found


def _tier(product_id: UUID, policy_id: UUID | None) -> tuple[str, str]:
    return LICENSES, f"{product_id}/{policy_id or ''}"


def _add_orders(found: Figures, currency: str, count: int, value: int, sats: int) -> None:
    found[ORDERS, currency] += count
    found[VALUE, currency] += value
    found[SATS, currency] += sats
