"""Erasing a customer everywhere: in the slices below, and in the answers that the doors keep for repeated requests."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import delete, select

from keysat.infra.vault import Vault
from keysat.infra.work import Work
from keysat.upkeep.person import erase
from keysat.web.held import Answer
from keysat.web.idempotency import SEALED_AS
from keysat.web.tables import IdempotentAnswer

AT_ONCE = 500


async def erase_customer(work: Work, vault: Vault, customer_id: UUID) -> None:
    """Raises NotFound, Conflict."""
    await _forget_answers(work, vault, [word.encode() for word in await erase(work, vault, customer_id)])


async def _forget_answers(work: Work, vault: Vault, words: Sequence[bytes]) -> None:
    """They are sealed and gone after a day, and only what they say tells whose they are."""
    row, last = IdempotentAnswer, ""
    while True:
        answered = select(row.id, row.answer_sealed).where(row.answer_sealed.is_not(None), row.id > last)
        found = (await work.session.execute(answered.order_by(row.id).limit(AT_ONCE))).all()
        about = [row_id for row_id, sealed in found if _is_about(words, vault.open(sealed or b"", SEALED_AS))]
        await work.session.execute(delete(row).where(row.id.in_(about)).execution_options(synchronize_session=False))
        if len(found) < AT_ONCE:
            return
        last = found[-1].id


def _is_about(words: Sequence[bytes], answer: bytes) -> bool:
    body = msgspec.msgpack.decode(answer, type=Answer).body
    return any(word in body for word in words)
