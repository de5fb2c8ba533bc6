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
from keysat.kit.errors import KeysatError, NotFound
from keysat.licenses.ring import present
from keysat.web.html import page
from keysat.web.problems import SAYABLE
from keysat.web.provide import WithVisit
from keysat.web.public.thanks import download_of, sale_of
from keysat.web.security import SECRET_PAGE
from keysat.web.shared_limits import limit_recovery, limit_replacement, limit_shared
from keysat.web.throttle import Rate
from keysat.web.visit import Visit
from keysat.web.wire import KeyText, Line


class RecoverForm(msgspec.Struct, frozen=True, kw_only=True):
    reference: Line = ""
    email: Line = ""
    claim_code: Line = ""


class ReplaceForm(msgspec.Struct, frozen=True, kw_only=True):
    license_key: KeyText = ""
    claim_code: Line = ""


@get("/recover", include_in_schema=False)
async def show_form(request: Request[Any, Any, Any], visit: WithVisit) -> Response[str]:
    return _form(visit, RecoverForm(reference=request.query_params.get("reference", "")[:255]))


@post("/recover", status_code=200, include_in_schema=False)
async def ask(data: URLEncodedBody[RecoverForm], visit: WithVisit) -> Response[str]:
    wanted = Ask(data.reference, data.email, data.claim_code)
    try:
        await limit_recovery(visit, wanted)
        async with visit.work() as work:
            found = await recover(work, visit.shop.vault, wanted)
    except SAYABLE as error:
        return _form(visit, data, error)
    if found is None:
        return page(visit, "link.html", state="sent" if visit.shop.mailer.configured else "no_mail")
    return await _recovered(visit, found, claim_code=data.claim_code)


@get("/recover/{token:str}", include_in_schema=False)
async def show_link(token: FromPath[str], visit: WithVisit) -> Response[str]:
    """Uses nothing up: mail scanners open every link."""
    async with visit.shop.read() as read:
        is_open = await peek(read, LINK, token, visit.now)
    if not is_open:
        return _gone(visit)
    return page(visit, "link.html", headers=SECRET_PAGE, state="open", action=f"/recover/{token}")


@post("/recover/{token:str}", status_code=200, include_in_schema=False)
async def use_link(token: FromPath[str], visit: WithVisit) -> Response[str]:
    await limit_shared(visit, Rate.RECOVER)
    try:
        async with visit.work() as work:
            found = await recover_with_link(work, token)
    except NotFound:
        return _gone(visit)
    return await _recovered(visit, found)


@get("/recover/replace-key", include_in_schema=False)
async def show_replace_form(visit: WithVisit) -> Response[str]:
    return _replace_form(visit, ReplaceForm())


@post("/recover/replace-key", status_code=200, include_in_schema=False)
async def replace_key(data: URLEncodedBody[ReplaceForm], visit: WithVisit) -> Response[str]:
    try:
        presented = await present(visit.shop.ring, data.license_key, visit.now)
        license_id = await limit_replacement(visit, presented, data.claim_code)
        async with visit.work() as work:
            found = await replace_leaked_key(work, visit.shop.vault, license_id, data.claim_code)
    except SAYABLE as error:
        return _replace_form(visit, data, error)
    return await _recovered(visit, found, is_new=True)


async def _recovered(visit: Visit, found: Opened, *, is_new: bool = False, claim_code: str = "") -> Response[str]:
    async with visit.shop.read() as read:
        sale = await sale_of(read, visit.shop, found.order.invoice_id, visit.now)
    return page(
        visit,
        "recovered.html",
        headers=SECRET_PAGE,
        sale=sale,
        is_new=is_new,
        claim_code=claim_code,
        download=download_of(sale),
        order_page=sale.order.page,
    )


def _form(visit: Visit, form: RecoverForm, error: KeysatError | None = None) -> Response[str]:
    return page(visit, "recover.html", trouble=error, form=form, mails=visit.shop.mailer.configured)


def _replace_form(visit: Visit, form: ReplaceForm, error: KeysatError | None = None) -> Response[str]:
    return page(visit, "replace.html", trouble=error, form=form)


def _gone(visit: Visit) -> Response[str]:
    return page(visit, "link.html", trouble=NotFound("This link is not open."), headers=SECRET_PAGE, state="gone")


ROUTES = (show_form, ask, show_link, use_link, show_replace_form, replace_key)
