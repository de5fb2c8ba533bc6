"""An operator's own account: password, the second step of signing in, and the browsers that are signed in.

Whatever makes the account easier or harder to get into asks for the password again (and the second step, to be changed,
for a code), signs every other browser out, and lets this one go on with a new token (ASVS 7.2.4, 7.4.3).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import segno
from litestar import Request, Response, get, post
from litestar.params import FromQuery, URLEncodedBody

from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict, Forbidden, KeysatError, RateLimited, Unavailable
from keysat.operators import accounts, second_step, sessions, totp
from keysat.operators.login import confirm, confirm_code
from keysat.operators.passwords import HASHING
from keysat.operators.sessions import SignedIn
from keysat.operators.tables import Account, AccountId, SessionId
from keysat.web.admin.door import PATH, admin_page, id_in, signed_in
from keysat.web.admin.login import with_session
from keysat.web.html import see_other
from keysat.web.provide import WithVisit, WithWork
from keysat.web.sealed import brought_back, given
from keysat.web.shared_limits import empty_shared, limit_shared
from keysat.web.throttle import Rate
from keysat.web.visit import Visit
from keysat.web.wire import Line, Paragraph

HERE = f"{PATH}/account"
OFFER_SEALED_AS = "totp-offer"
OFFERED = timedelta(minutes=15)
TOLD = (BadRequest, Forbidden, Conflict, RateLimited, Unavailable)

T = TypeVar("T")

_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrom": "Chrome", "Safari": "Safari"}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "an iPhone",
    "iPad": "an iPad",
    "Windows": "Windows",
    "Macintosh": "a Mac",
    "Linux": "Linux",
}


class PasswordForm(msgspec.Struct, frozen=True, kw_only=True):
    password: Paragraph = ""
    new_password: Paragraph = ""


class OwnPassword(msgspec.Struct, frozen=True, kw_only=True):
    password: Paragraph = ""


class OwnCode(OwnPassword, frozen=True, kw_only=True):
    code: Line = ""


class OfferForm(msgspec.Struct, frozen=True, kw_only=True):
    offer: Paragraph = ""
    """The seed that was shown, sealed: what the browser brings back is what we drew."""
    code: Line = ""


class EndForm(msgspec.Struct, frozen=True, kw_only=True):
    session: Line = ""
    """Its id; empty: all but this one."""


class Offer(msgspec.Struct, frozen=True):
    account_id: AccountId
    seed: bytes
    until: datetime


@dataclass(frozen=True, slots=True)
class Browser:
    """One that is signed in, in words."""

    id: SessionId
    what: str
    address: str
    seen_at: datetime
    since: datetime
    is_this: bool


@get("/account", guards=[signed_in()])
async def show_account(visit: WithVisit, done: FromQuery[str] = "") -> Response[str]:
    return await _account_page(visit, done=done)


@post("/account/password", status_code=200, guards=[signed_in()])
async def change_password(
    data: URLEncodedBody[PasswordForm], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[Any]:
    operator = _operator(visit)
    try:
        await _confirm(visit, operator, data.password)
        hashed = await HASHING.hashed(data.new_password)
        async with visit.work() as work:
            token = await accounts.change_password(work, operator.account_id, hashed, operator.session_id)
    except TOLD as error:
        return await _account_page(visit, error, about="password")
    return with_session(request, _back("password"), token)


@post("/account/totp", status_code=200, guards=[signed_in()])
async def offer_totp(data: URLEncodedBody[OwnPassword], visit: WithVisit) -> Response[Any]:
    operator = _operator(visit)
    try:
        await _confirm(visit, operator, data.password)
    except TOLD as error:
        return await _account_page(visit, error, about="totp")
    offer = Offer(operator.account_id, totp.new_seed(visit.shop.chance), visit.now + OFFERED)
    return _offer_page(visit, operator, offer)


@post("/account/totp/on", status_code=200, guards=[signed_in()])
async def switch_totp_on(
    data: URLEncodedBody[OfferForm], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[Any]:
    operator = _operator(visit)
    try:
        offer = _opened(visit, operator, data.offer)
    except BadRequest as error:
        return await _account_page(visit, error, about="totp")
    try:
        async with visit.work() as work:
            token, codes = await second_step.switch_on(
                work, visit.shop.vault, operator.account_id, operator.session_id, offer.seed, data.code
            )
    except Conflict as error:
        return await _account_page(visit, error, about="totp")
    except BadRequest as error:
        return _offer_page(visit, operator, offer, error)
    shown = admin_page(visit, "admin/recovery_codes.html", at=HERE, codes=codes, title="The second step is on")
    return with_session(request, shown, token)


@post("/account/totp/codes", status_code=200, guards=[signed_in()])
async def renew_codes(
    data: URLEncodedBody[OwnCode], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[Any]:
    try:
        token, codes = await _change_second_step(visit, data, second_step.renew_codes)
    except TOLD as error:
        return await _account_page(visit, error, about="codes")
    shown = admin_page(visit, "admin/recovery_codes.html", at=HERE, codes=codes, title="New recovery codes")
    return with_session(request, shown, token)


@post("/account/totp/off", status_code=200, guards=[signed_in()])
async def switch_totp_off(
    data: URLEncodedBody[OwnCode], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[Any]:
    try:
        token = await _change_second_step(visit, data, second_step.switch_off)
    except TOLD as error:
        return await _account_page(visit, error, about="totp")
    return with_session(request, _back("totp_off"), token)


@post("/account/sessions/end", status_code=200, guards=[signed_in()])
async def end_sessions(data: URLEncodedBody[EndForm], visit: WithVisit, work: WithWork) -> Response[Any]:
    operator = _operator(visit)
    only = SessionId(id_in(data.session, "session")) if data.session else None
    await sessions.end(work, operator.account_id, only=only, but=operator.session_id)
    return _back("sessions")


async def _confirm(visit: Visit, operator: SignedIn, password: str) -> None:
    """Raises Forbidden, RateLimited. Counted as a login is, until it is right: a browser left open is no way to try
    passwords. But not by the name, which strangers know."""
    await limit_shared(visit, Rate.LOGIN_ACCOUNT, operator.account_id)
    await confirm(visit.errand, operator.account_id, password)
    await empty_shared(visit, Rate.LOGIN_ACCOUNT, operator.account_id)


async def _change_second_step(
    visit: Visit, typed: OwnCode, act: Callable[[Work, AccountId, SessionId], Awaitable[T]]
) -> T:
    """By password and code. Raises Forbidden, RateLimited, and what the act raises."""
    operator = _operator(visit)
    await _confirm(visit, operator, typed.password)
    await limit_shared(visit, Rate.LOGIN_CODE, operator.account_id)
    await confirm_code(visit.errand, visit.shop.vault, operator.account_id, typed.code)
    await empty_shared(visit, Rate.LOGIN_CODE, operator.account_id)
    async with visit.work() as work:
        return await act(work, operator.account_id, operator.session_id)


async def _account_page(
    visit: Visit, trouble: KeysatError | None = None, *, about: str = "", done: str = ""
) -> Response[str]:
    operator = _operator(visit)
    async with visit.shop.read() as read:
        account = accounts.view(await read.get(Account, operator.account_id))
        left = await second_step.codes_left(read, operator.account_id)
        rows = await sessions.sessions_of(read, operator.account_id, visit.now)
    return admin_page(
        visit,
        "admin/account.html",
        at=HERE,
        trouble=trouble,
        about=about,
        done=done,
        account=account,
        codes_left=left,
        browsers=_browsers(rows, operator, visit.now),
    )


def _offer_page(visit: Visit, operator: SignedIn, offer: Offer, trouble: KeysatError | None = None) -> Response[str]:
    address = totp.address(offer.seed, visit.shop.settings.operator_name or "Keysat", operator.name)
    picture = segno.make(address, error="m").svg_inline(scale=5, light="#fff", omitsize=True)
    return admin_page(
        visit,
        "admin/totp.html",
        at=HERE,
        trouble=trouble,
        picture=picture,
        seed=totp.text(offer.seed),
        address=address,
        offer=given(visit.shop.vault, offer, OFFER_SEALED_AS),
    )


def _opened(visit: Visit, operator: SignedIn, sealed: str) -> Offer:
    """Raises BadRequest."""
    offer = brought_back(visit.shop.vault, sealed, OFFER_SEALED_AS, Offer)
    if offer is None:
        raise BadRequest("Begin again.")
    if offer.account_id != operator.account_id or visit.now > offer.until:
        raise BadRequest("That took too long. Begin again.")
    return offer


def _browsers(rows: Sequence[sessions.Session], operator: SignedIn, now: datetime) -> list[Browser]:
    return [
        Browser(
            row.id,
            _in_words(row.browser),
            row.address or "",
            now if row.id == operator.session_id else row.seen_at,
            row.created_at,
            row.id == operator.session_id,
        )
        for row in rows
    ]


def _in_words(browser: str) -> str:
    """Of a User-Agent header: `Firefox on Linux`. Programs say what they like."""
    what = next((name for mark, name in _BROWSERS.items() if mark in browser), "A browser")
    where = next((name for mark, name in _SYSTEMS.items() if mark in browser), None)
    return f"{what} on {where}" if where else what


def _operator(visit: Visit) -> SignedIn:
    assert visit.operator is not None  # noqa: S101  the guard of every handler here
    return visit.operator


def _back(done: str) -> Response[Any]:
    return see_other(f"{HERE}?done={done}")


ROUTES = (show_account, change_password, offer_totp, switch_totp_on, renew_codes, switch_totp_off, end_sessions)
