"""Letters that nobody paid for take turns: what is free can be ordered for anybody's address, as often as one likes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select

from keysat.checkout.tables import Order, PaidHow, Purpose
from keysat.customers.accounts import mailbox
from keysat.customers.tables import Customer
from keysat.infra.events import digest
from keysat.infra.tables import OneTimeLink
from keysat.infra.work import Work
from keysat.kit.gcra import Limit, in_turn
from keysat.letters.tables import LetterBucket, LetterKind

UNPAID = Limit(burst=5, refill_seconds=600)
"""Of a kind of letter, to one mailbox."""


async def turns(work: Work, letters: Sequence[tuple[LetterKind, UUID]]) -> Mapping[tuple[LetterKind, UUID], datetime]:
    """When these letters, by kind and subject, may go out; those that are not named need not wait.

    To be called by one transaction at a time, as the reader's cursor sees to.
    """
    links = await _orders_of_links(work, [subject for kind, subject in letters if kind is LetterKind.RECOVERY])
    orders = {
        (kind, subject): links.get(subject, subject)
        for kind, subject in letters
        if kind in (LetterKind.RECEIPT, LetterKind.RECOVERY)
    }
    found = await work.session.execute(
        select(Order.id, Customer.email_normal)
        .join(Customer, Customer.id == Order.customer_id)
        .where(
            Order.id.in_(orders.values()),
            Order.purpose == Purpose.PURCHASE,
            Order.paid_how == PaidHow.FREE,
            Customer.email_normal.is_not(None),
        )
    )
    addresses = {row.id: row.email_normal for row in found}
    await work.session.execute(delete(LetterBucket).where(LetterBucket.full_at <= work.now))
    return {
        letter: await _turn(work, digest(letter[0], mailbox(address)))
        for letter, order_id in orders.items()
        if (address := addresses.get(order_id)) is not None
    }


async def _orders_of_links(work: Work, link_ids: Sequence[UUID]) -> Mapping[UUID, UUID]:
    rows = await work.session.execute(select(OneTimeLink.id, OneTimeLink.subject).where(OneTimeLink.id.in_(link_ids)))
    return {link_id: UUID(order_id) for link_id, order_id in rows}


async def _turn(work: Work, bucket: str) -> datetime:
    full_at = await work.session.scalar(select(LetterBucket.full_at).where(LetterBucket.id == bucket))
    full_at, at = in_turn(full_at, UNPAID, work.now)
    write = work.insert(LetterBucket).values(id=bucket, full_at=full_at)
    await work.session.execute(write.on_conflict_do_update(index_elements=["id"], set_={"full_at": full_at}))
    return at
