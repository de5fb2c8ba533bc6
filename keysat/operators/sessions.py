"""Sessions: browsers that signed in. Each ends a day after it was last used, and thirty days after it began."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from keysat.infra.events import Actor
from keysat.infra.work import Read, Work
from keysat.operators import tokens
from keysat.operators.happenings import SessionEnded
from keysat.operators.scopes import SCOPES, Role, Scope
from keysat.operators.tables import Account, AccountId, Session, SessionId

IDLE = timedelta(hours=24)
LIFE = timedelta(days=30)
BROWSER_MAX = 255
_CAN_SIGN_IN = Account.disabled_at.is_(None)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose session a request came with. It may what the account may, as its role is at this moment."""

    account_id: AccountId
    session_id: SessionId
    name: str
    role: Role
    seen_at: datetime

    @property
    def scopes(self) -> frozenset[Scope]:
        return SCOPES[self.role]

    def actor(self, address: str) -> Actor:
        return Actor("account", credential=f"{self.account_id}/{self.session_id}", address=address)


async def begin(work: Work, account_id: AccountId, address: str, browser: str) -> tuple[SessionId, str]:
    """The id, and the token for the cookie."""
    token = tokens.make(work.chance)
    session = Session(
        id=SessionId(work.new_id()),
        account_id=account_id,
        hash=tokens.hashed(token),
        created_at=work.now,
        seen_at=work.now,
        address=address,
        browser=browser[:BROWSER_MAX].replace("\0", ""),
    )
    work.session.add(session)
    await work.session.flush()
    return session.id, token


async def signed_in(read: Read, token: str, now: datetime) -> SignedIn | None:
    """None: no such session, or it is over, or its account was disabled."""
    if len(token) != tokens.TOKEN_CHARACTERS:
        return None
    found = await read.session.execute(
        select(Account.id, Session.id, Account.name, Account.role, Session.seen_at)
        .join(Session, Session.account_id == Account.id)
        .where(Session.hash == tokens.hashed(token), *_is_open(now), _CAN_SIGN_IN)
    )
    row = found.first()
    return SignedIn(*row) if row is not None else None


async def role_in(read: Read, session_id: SessionId, now: datetime) -> Role | None:
    """What who is signed in there is now. None: as `signed_in`."""
    query = select(Account.role).join(Session, Session.account_id == Account.id)
    return await read.session.scalar(query.where(Session.id == session_id, *_is_open(now), _CAN_SIGN_IN))


async def sessions_of(read: Read, account_id: AccountId, now: datetime) -> Sequence[Session]:
    """Those that are open, the one used last first."""
    rows = await read.session.scalars(
        select(Session)
        .where(Session.account_id == account_id, *_is_open(now))
        .order_by(Session.seen_at.desc(), Session.id.desc())
    )
    return rows.all()


async def end(work: Work, account_id: AccountId, *, only: SessionId | None = None, but: SessionId | None = None) -> int:
    """All sessions of an account, or one, or all but one. Returns how many there were."""
    ended = delete(Session).where(Session.account_id == account_id).returning(Session.id)
    if only is not None:
        ended = ended.where(Session.id == only)
    if but is not None:
        ended = ended.where(Session.id != but)
    gone = (await work.session.scalars(ended.execution_options(synchronize_session=False))).all()
    for session_id in gone:
        work.record(SessionEnded(session_id, account_id))
    return len(gone)


def _is_open(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (Session.seen_at > now - IDLE, Session.created_at > now - LIFE)


async def go_on_alone(work: Work, account_id: AccountId, session_id: SessionId) -> str:
    """Every other browser of the account is signed out, and this one goes on under the token that is returned.

    For whatever makes an account easier or harder to get into (ASVS 7.2.4, 7.4.3): the old token opens nothing.
    """
    await end(work, account_id, but=session_id)
    token = tokens.make(work.chance)
    await work.session.execute(
        update(Session)
        .where(Session.id == session_id)
        .values(hash=tokens.hashed(token))
        .execution_options(synchronize_session=False)
    )
    return token
