"""Limits on what could be guessed: in the database, so that all daemons share them and no restart fills them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, update

from keysat.checkout.recover import Ask, fits_license, fits_order
from keysat.infra.events import digest
from keysat.infra.vault import Vault
from keysat.infra.work import Work
from keysat.kit.gcra import Decision, take
from keysat.licenses.refresh import opened
from keysat.licenses.ring import Presented
from keysat.web.address import limit_key
from keysat.web.tables import LimitBucket
from keysat.web.throttle import LIMITS, Rate, refuse_unless
from keysat.web.visit import Visit

SWEPT_AT_ONCE = 100
DERIVED_AS = "limit-bucket"


async def limit_shared(visit: Visit, rate: Rate, key: object = None) -> None:
    """One more; without a key, the client's address is counted. In a transaction of its own, since what is refused
    afterwards counts too. Raises RateLimited."""
    if visit.throttle.off:
        return
    counted = limit_key(visit.address) if key is None else str(key)
    bucket = _bucket(visit.shop.vault, rate, counted)
    async with visit.work() as work:
        await _sweep(work)
        decision = await _take(work, rate, bucket)
    visit.rate = (rate, decision)
    refuse_unless(decision)


async def empty_shared(visit: Visit, rate: Rate, key: object) -> None:
    """What was typed was right: who knows it need not be counted."""
    async with visit.work() as work:
        await empty(work, visit.shop.vault, rate, key)


async def empty(work: Work, vault: Vault, rate: Rate, key: object) -> None:
    """As if nobody had come."""
    await work.session.execute(delete(LimitBucket).where(LimitBucket.id == _bucket(vault, rate, str(key))))


async def limit_recovery(visit: Visit, ask: Ask) -> None:
    """What could be guessed is counted. The right claim code cannot be: it passes, whatever others used up.

    Raises RateLimited.
    """
    async with visit.shop.read() as read:
        if await fits_order(read, visit.shop.vault, ask):
            return
    await limit_shared(visit, Rate.RECOVER)
    await limit_shared(visit, Rate.CLAIM, ask.order)


async def limit_replacement(visit: Visit, presented: Presented, claim_code: str) -> UUID:
    """As `limit_recovery`; returns the id of the key's license. Raises RateLimited, BadRequest for a key not ours."""
    license_id = presented.signed.payload.license_id if presented.signed and presented.signer else None
    async with visit.shop.read() as read:
        if license_id is not None and await fits_license(read, visit.shop.vault, license_id, claim_code):
            return license_id
    await limit_shared(visit, Rate.RECOVER)
    payload, _ = opened(presented)
    await limit_shared(visit, Rate.CLAIM, payload.license_id)
    return payload.license_id


def key_counted(presented: Presented) -> str | None:
    """What a sound key is counted by: whoever has one that was replaced uses nothing up of the new one's.

    None: it is no key of ours.
    """
    if presented.signed is None or presented.signer is None:
        return None
    payload = presented.signed.payload
    return f"{payload.license_id} {payload.issued_at}"


def _bucket(vault: Vault, rate: Rate, counted: str) -> str:
    """The row's id, which tells nobody who was counted."""
    return digest(vault.derive(DERIVED_AS, counted.encode()).hex(), rate)


async def _take(work: Work, rate: Rate, bucket: str) -> Decision:
    """The insert that may find the row there locks it, on PostgreSQL too: nobody reads what another is to change."""
    row = LimitBucket
    write = work.insert(row).values(id=bucket, full_at=work.now)
    write = write.on_conflict_do_update(index_elements=["id"], set_={"id": write.excluded.id}).returning(row.full_at)
    full_at: datetime = (await work.session.scalars(write)).one()
    decision = take(full_at, LIMITS[rate], work.now)
    await work.session.execute(
        update(row).where(row.id == bucket).values(full_at=decision.tat).execution_options(synchronize_session=False)
    )
    return decision


async def _sweep(work: Work) -> None:
    """A few of those that are full again, each time."""
    row = LimitBucket
    full = select(row.id).where(row.full_at <= work.now).limit(SWEPT_AT_ONCE).with_for_update(skip_locked=True)
    await work.session.execute(delete(row).where(row.id.in_(full)).execution_options(synchronize_session=False))
