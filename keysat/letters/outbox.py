"""The outbox: sends the letters that are due, each by an errand under a lease; what cannot be sent is parked.

A letter that was sent and not written down as sent, because the power went in between, is sent again with the same
Message-ID: twice is better than never.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from jinja2 import TemplateError
from sqlalchemy import func, select

from keysat.infra.attention import settle_about
from keysat.infra.leases import give_back, is_any_due, take
from keysat.infra.log import get
from keysat.infra.mail import MailRefused
from keysat.infra.work import Read, Work
from keysat.kit.backoff import Backoff
from keysat.kit.errors import NotFound
from keysat.letters.compose import PostRoom, compose
from keysat.letters.happenings import LetterParked, LetterSent
from keysat.letters.reader import POSTMAN
from keysat.letters.tables import LETTER, LetterRow, LetterStatus, LetterStep

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AGAIN = Backoff((MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR), then=None)
TAKEN_AT_ONCE = 20
ERRANDS_AT_ONCE = 4
LEASE_SECONDS = 600  # longer than five letters of a minute each, one after the other

_first_due = select(func.min(LetterRow.next_try_at)).where(LetterRow.next_try_at.is_not(None))

log = get(__name__)


async def send_due(room: PostRoom, now: datetime) -> int:
    """Send what is due now; returns how many letters were tried."""
    if not await is_any_due(room.store, _first_due, now):
        return 0
    tried = 0
    while True:
        async with room.store.work(now, POSTMAN) as work:
            due = LetterRow.next_try_at <= now
            holder, rows = await take(
                work, LetterRow, due, LetterRow.next_try_at, most=TAKEN_AT_ONCE, seconds=LEASE_SECONDS
            )
        if not rows:
            return tried
        free = asyncio.Semaphore(ERRANDS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(_send(room, row, holder, now, free))
        tried += len(rows)


async def retry(work: Work, letter_id: UUID) -> LetterRow:
    """Try a parked letter again, now. Raises NotFound, IllegalStep."""
    row = await work.session.get(LetterRow, letter_id)
    if row is None:
        raise NotFound(f"There is no letter {letter_id}.")
    await work.advance(LETTER, row, LetterStep.RETRY, status_at=work.now, next_try_at=work.now, failures=0)
    await settle_about(work, row.id)
    return row


async def letters(read: Read, status: LetterStatus | None, most: int = 100) -> Sequence[LetterRow]:
    """The newest first."""
    query = select(LetterRow).order_by(LetterRow.created_at.desc(), LetterRow.id.desc()).limit(most)
    return (await read.session.scalars(query.where(LetterRow.status == status) if status else query)).all()


async def _send(room: PostRoom, row: LetterRow, holder: str, now: datetime, free: asyncio.Semaphore) -> None:
    """One errand. Whatever goes wrong, the others go on."""
    async with free:
        try:
            async with room.store.read() as read:
                letter = await compose(read, room, row, now)
            if letter is not None:
                await room.mailer.send(letter, now)
        except MailRefused as refused:
            await _failed(room, row, holder, now, str(refused), is_final=refused.permanent)
        except TemplateError as error:  # the seller's own words have a mistake in them
            words = f"its text cannot be written: {type(error).__name__}: {error.message}"
            await _failed(room, row, holder, now, words, is_final=True)
        except Exception as error:
            log.error("letter.failed", error, letter=str(row.id))
            await _failed(room, row, holder, now, f"it broke off: {type(error).__name__}", is_final=False)
        else:
            await _end(room, row, holder, now, LetterStep.SEND if letter is not None else LetterStep.DROP)


async def _end(room: PostRoom, row: LetterRow, holder: str, now: datetime, step: LetterStep) -> None:
    async with room.store.work(now, POSTMAN) as work:
        if await give_back(work, LetterRow, row.id, holder, next_try_at=None, failure=None):
            await work.advance(LETTER, await work.get(LetterRow, row.id), step, status_at=work.now)
            if step is LetterStep.SEND:
                work.record(LetterSent(row.id, row.kind, row.subject))


async def _failed(room: PostRoom, row: LetterRow, holder: str, now: datetime, words: str, *, is_final: bool) -> None:
    failures = row.failures + 1
    wait = None if is_final else AGAIN.after(failures)
    next_try_at = now + wait if wait is not None else None
    log.warning("letter.refused", letter=str(row.id), kind=row.kind, reason=words)
    async with room.store.work(now, POSTMAN) as work:
        is_ours = await give_back(
            work, LetterRow, row.id, holder, next_try_at=next_try_at, failures=failures, failure=words
        )
        if not is_ours or next_try_at is not None:
            return
        await work.advance(LETTER, await work.get(LetterRow, row.id), LetterStep.PARK, status_at=work.now)
        work.record(LetterParked(row.id, row.kind, row.subject))
        await work.attend("letter_parked", row.id, f"A {row.kind} was not sent: {words}", again=True)
