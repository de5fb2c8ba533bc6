"""Pages for who lost a key, or shares it with a thief. Plain forms, no JavaScript needed.

They have no guard against forms from other sites: no cookie opens anything here, only what the form itself holds. And a
browser on plain http sends `Origin: null` from a page whose address is secret.
"""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, URLEncodedBody

from keysat.checkout.recover import LINK, Ask, Opened, recover, recover_with_link, replace_leaked_key
from keysat.infra.links import peek
from keysat.kit.errors import BadRequest, Conflict, KeysatError, NotFound, RateLimited, Unavailable
from keysat.licenses.ring import present
from keysat.web.html import page, told
from keysat.web.provide import WithShop, WithVisit
from keysat.web.public.thanks import download_of, page_of, sale_of
from keysat.web.security import SECRET_PAGE
from keysat.web.shared_limits import limit_recovery, limit_replacement, limit_shared
from keysat.web.throttle import Rate
from keysat.web.visit import visit_of
from keysat.web.wire import KeyText, Line

_SAYABLE = (BadRequest, NotFound, Conflict, RateLimited, Unavailable)
_Asking = Request[Any, Any, Any]


class RecoverForm(msgspec.Struct, frozen=True, kw_only=True):
    reference: Line = ""
    email: Line = ""
    claim_code: Line = ""


class ReplaceForm(msgspec.Struct, frozen=True, kw_only=True):
    license_key: KeyText = ""
    claim_code: Line = ""


@get("/recover", include_in_schema=False)
async def show_form(request: _Asking) -> Response[str]:
    return _form(request, RecoverForm(reference=request.query_params.get("reference", "")[:255]))


@post("/recover", status_code=200, include_in_schema=False)
async def ask(data: URLEncodedBody[RecoverForm], request: _Asking, visit: WithVisit, shop: WithShop) -> Response[str]:
    wanted = Ask(data.reference, data.email, data.claim_code)
    try:
        await limit_recovery(visit, wanted)
        async with shop.store.work(visit.now, visit.actor) as work:
            found = await recover(work, shop.vault, wanted)
    except _SAYABLE as error:
        return _form(request, data, error)
    if found is None:
        return page(request, "link.html", state="sent" if shop.mailer.configured else "no_mail")
    return await _recovered(request, found, claim_code=data.claim_code)


@get("/recover/{token:str}", include_in_schema=False)
async def show_link(token: FromPath[str], request: _Asking, visit: WithVisit, shop: WithShop) -> Response[str]:
    """Uses nothing up: mail scanners open every link."""
    async with shop.read() as read:
        is_open = await peek(read, LINK, token, visit.now)
    return _link(request, token) if is_open else _gone(request)


@post("/recover/{token:str}", status_code=200, include_in_schema=False)
async def use_link(token: FromPath[str], request: _Asking, visit: WithVisit, shop: WithShop) -> Response[str]:
    await limit_shared(visit, Rate.RECOVER)
    try:
        async with shop.store.work(visit.now, visit.actor) as work:
            found = await recover_with_link(work, token)
    except NotFound:
        return _gone(request)
    return await _recovered(request, found)


@get("/recover/replace-key", include_in_schema=False)
async def show_replace_form(request: _Asking) -> Response[str]:
    return _replace_form(request, ReplaceForm())


@post("/recover/replace-key", status_code=200, include_in_schema=False)
async def replace_key(
    data: URLEncodedBody[ReplaceForm], request: _Asking, visit: WithVisit, shop: WithShop
) -> Response[str]:
    try:
        presented = await present(shop.ring, data.license_key, visit.now)
        license_id = await limit_replacement(visit, presented, data.claim_code)
        async with shop.store.work(visit.now, visit.actor) as work:
            found = await replace_leaked_key(work, shop.vault, license_id, data.claim_code)
    except _SAYABLE as error:
        return _replace_form(request, data, error)
    return await _recovered(request, found, is_new=True)


async def _recovered(request: _Asking, found: Opened, *, is_new: bool = False, claim_code: str = "") -> Response[str]:
    visit = visit_of(request)
    async with visit.shop.read() as read:
        sale = await sale_of(read, visit.shop, found.order.invoice_id, visit.now)
    response = page(
        request,
        "recovered.html",
        sale=sale,
        is_new=is_new,
        claim_code=claim_code,
        download=download_of(sale),
        order_page=page_of(sale),
    )
    response.headers.update(SECRET_PAGE)
    return response


def _form(request: _Asking, form: RecoverForm, error: KeysatError | None = None) -> Response[str]:
    mails = visit_of(request).shop.mailer.configured
    return told(page(request, "recover.html", form=form, mails=mails, trouble=error.message if error else ""), error)


def _replace_form(request: _Asking, form: ReplaceForm, error: KeysatError | None = None) -> Response[str]:
    return told(page(request, "replace.html", form=form, trouble=error.message if error else ""), error)


def _link(request: _Asking, token: str) -> Response[str]:
    response = page(request, "link.html", state="open", action=f"/recover/{token}")
    response.headers.update(SECRET_PAGE)
    return response


def _gone(request: _Asking) -> Response[str]:
    response = page(request, "link.html", state="gone")
    response.status_code = 404
    response.headers.update(SECRET_PAGE)
    return response


ROUTES = (show_form, ask, show_link, use_link, show_replace_form, replace_key)
