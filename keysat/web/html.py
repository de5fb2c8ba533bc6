"""Pages: the templates' environment, and the files that belong to them."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from keysat.infra.house import Mode
from keysat.infra.settings import Settings
from keysat.infra.written import date, date_and_time, money
from keysat.kit.errors import KeysatError
from keysat.web.visit import Visit, visit_of

STATIC_PATH = "/static"
_PACKAGE = Path(__file__).parents[1]


def page(request: Request[Any, Any, Any], template: str, /, **context: object) -> Response[str]:
    """A whole page. Each sees `nonce`, `shop_name`, `contact`, `sandbox`, `now`, `static()`, `money` and `date` too."""
    return Response(page_text(visit_of(request), template, **context), media_type="text/html")


def page_text(visit: Visit, template: str, /, **context: object) -> str:
    shop = visit.shop
    return text_for_all(shop.settings, shop.mode, template, nonce=visit.csp_nonce(), now=visit.now, **context)


def text_for_all(settings: Settings, mode: Mode, template: str, /, **context: object) -> str:
    """Of a page that can be kept: with neither `nonce` nor `now`, so that a template that uses one fails."""
    shop = {
        "shop_name": settings.operator_name or "Keysat",
        "contact": settings.operator_contact,
        "sandbox": mode == Mode.SANDBOX,
    }
    return _environment().get_template(template).render(shop | context)


def told(response: Response[Any], error: KeysatError | None) -> Response[Any]:
    """The page of a form that says what is wrong itself: with the status of the refusal, if there is one."""
    if error is not None:
        response.status_code = error.code.status
        if error.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


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
