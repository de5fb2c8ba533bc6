"""Pages: the templates' environment, and the files that belong to them."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Response

from keysat.infra.house import Mode
from keysat.infra.setting_values import Contact
from keysat.infra.written import date, date_and_time, money
from keysat.kit.errors import KeysatError
from keysat.web.visit import Visit

STATIC_PATH = "/static"
_PACKAGE = Path(__file__).parents[1]


def page(
    visit: Visit,
    template: str,
    /,
    *,
    trouble: KeysatError | None = None,
    headers: Mapping[str, str] | None = None,
    seller: Mapping[str, object] | None = None,
    **context: object,
) -> Response[str]:
    """A whole page. Each sees `nonce`, `shop_name`, `contact`, `sandbox`, `now`, `static()`, `money` and `date` too.

    `trouble` is what a page says itself is wrong: the answer has the status of that refusal. `seller`: who sells what
    the page is about, as `checkout.seller` tells it.
    """
    response = Response(
        page_text(visit, template, trouble=trouble, **{**(seller or {}), **context}), media_type="text/html"
    )
    response.headers.update(headers or {})
    if trouble is not None:
        response.status_code = trouble.code.status
        if trouble.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(trouble.retry_after_seconds)
    return response


def see_other(address: str, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """After a form: the browser asks for that with GET (RFC 9110, 15.4.4)."""
    return Response(None, status_code=303, headers={**(headers or {}), "Location": address})


def page_text(visit: Visit, template: str, /, **context: object) -> str:
    shop = visit.shop
    return text_for_all(
        shop.settings.operator_contact,
        shop.mode,
        shop.operator_name,
        template,
        nonce=visit.csp_nonce(),
        now=visit.now,
        **context,
    )


def text_for_all(contact: Contact | None, mode: Mode, named: str | None, template: str, /, **context: object) -> str:
    """Of a page that can be kept: with neither `nonce` nor `now`, so that a template that uses one fails."""
    name = named or "Keysat"
    shop = {
        "shop_name": name,
        "sold_by": name,
        "contact": contact,
        "sandbox": mode == Mode.SANDBOX,
    }
    return _environment().get_template(template).render(shop | context)


def static_folder() -> Path:
    """Inside the wheel beside this package's modules, in the repository at its top."""
    inside = _PACKAGE / "static"
    return inside if inside.is_dir() else _PACKAGE.parent / "static"


@cache  # a process serves the files it was started with
def static(name: str) -> str:
    """The address of a static file. It changes with the content, so that browsers may keep what they have."""
    content = (static_folder() / name).read_bytes()
    return f"{STATIC_PATH}/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("keysat.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static
    environment.filters.update(money=money, date=date, date_and_time=date_and_time)
    return environment
