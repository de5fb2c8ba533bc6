"""The one namespace of everything a buyer may type into the one field for codes."""

import re

import msgspec
from sqlalchemy import delete

from keysat.catalog.tables import Code
from keysat.catalog.views import CodeView
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict

_CODE = re.compile(r"[A-Z0-9_-]{1,64}")


def normal(typed: str) -> str:
    """As codes are stored and compared: trimmed, upper case. Raises BadRequest for what cannot be a code."""
    code = typed.strip().upper() if typed.isascii() else ""  # upper() would turn the letter ß into SS
    if not _CODE.fullmatch(code):
        raise BadRequest("A code has 1 to 64 letters, digits, hyphens or underscores.")
    return code


async def code_of(read: Read, typed: str) -> CodeView | None:
    """None when nobody gave out such a code, however it was typed."""
    try:
        code = normal(typed)
    except BadRequest:
        return None
    row = await read.session.get(Code, code)
    return msgspec.convert(row, CodeView, from_attributes=True) if row is not None else None


async def claim(work: Work, typed: str, kind: str) -> str:
    """Take a code for one kind of thing; returns it normalised. Raises Conflict when it is taken, by whatever kind."""
    code = normal(typed)
    taken = await work.session.execute(
        work.insert(Code)
        .values(code=code, kind=kind, created_at=work.now)
        .on_conflict_do_nothing(index_elements=["code"])
        .returning(Code.code)
    )
    if taken.first() is None:
        raise Conflict(f"The code {code} exists already. Choose another one.")
    return code


async def release(work: Work, code: str) -> None:
    """Give a code back, once what hung on it is gone."""
    await work.session.execute(delete(Code).where(Code.code == code))
