"""One-time links: an address that is mailed to somebody, and opens one thing once.

The token is derived from the vault key and the row's id, so a letter that is written again holds the same one and no
table holds any. A mail scanner opens every link it finds: looking (`peek`) uses nothing up, only `use` does.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, select, update

from keysat.infra.tables import OneTimeLink
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.errors import NotFound

LIFE = timedelta(minutes=30)
TOKEN_BITS = 130
DERIVED_AS = "one-time-link"
GONE = "This link was used already, or is older than 30 minutes. Ask for a new one."


async def make(work: Work, vault: Vault, purpose: str, subject: object) -> UUID:
    """Returns the link's id; `token_of` tells what stands in the address."""
    link = OneTimeLink(
        id=work.secret_id(),
        purpose=purpose,
        subject=str(subject),
        created_at=work.now,
        expires_at=work.now + LIFE,
    )
    link.hash = _hash(token_of(vault, link.id))
    work.session.add(link)
    await work.session.flush()
    return link.id


async def close(work: Work, purpose: str, subject: object) -> None:
    """What was mailed before opens nothing any more: only the newest letter does."""
    await work.session.execute(
        update(OneTimeLink)
        .where(OneTimeLink.purpose == purpose, OneTimeLink.subject == str(subject), OneTimeLink.used_at.is_(None))
        .values(used_at=work.now)
        .execution_options(synchronize_session=False)
    )


def token_of(vault: Vault, link_id: UUID) -> str:
    """26 characters of lower-case base32."""
    return derived_text(vault, DERIVED_AS, link_id).lower()


async def peek(read: Read, purpose: str, token: str, now: datetime) -> bool:
    """Whether the link would open something now."""
    found = await read.session.scalar(select(OneTimeLink.id).where(*_open(purpose, token, now)))
    return found is not None


async def use(work: Work, purpose: str, token: str) -> str:
    """What it opens: the subject's id. Of many who ask at once, one gets it; the others get NotFound."""
    subject = await work.session.scalar(
        update(OneTimeLink)
        .where(*_open(purpose, token, work.now))
        .values(used_at=work.now)
        .returning(OneTimeLink.subject)
        .execution_options(synchronize_session=False)
    )
    if subject is None:
        raise NotFound(GONE)
    return subject


def derived_text(vault: Vault, purpose: str, row_id: UUID) -> str:
    """130 bits that only the holder of the vault key can tell, as 26 characters of upper-case base32 (RFC 4648, 6)."""
    return base64.b32encode(vault.derive(purpose, row_id.bytes, size=20)).decode()[: TOKEN_BITS // 5]


def _open(purpose: str, token: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        OneTimeLink.hash == _hash(token),
        OneTimeLink.purpose == purpose,
        OneTimeLink.used_at.is_(None),
        OneTimeLink.expires_at > now,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
