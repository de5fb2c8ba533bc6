"""Pages: the templates' environment, and how money and moments are written for people."""

import hashlib
import re
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, parse_pattern
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from keysat.infra.house import Mode
from keysat.kit.currencies import SAT, exponent
from keysat.kit.money import Money
from keysat.web.visit import Visit, visit_of

LOCALE = "en"
STATIC_PATH = "/static"
_PACKAGE = Path(__file__).parents[1]
_DECIMALS = re.compile(r"0\.0+")
_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)")


def page(request: Request[Any, Any, Any], template: str, /, **context: object) -> Response[str]:
    """A whole page. Every template sees also `nonce`, `shop_name`, `sandbox`, `now`, `static()`, `money` and `date`."""
    return Response(page_text(visit_of(request), template, **context), media_type="text/html")


def page_text(visit: Visit, template: str, /, **context: object) -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            {
                "nonce": visit.csp_nonce(),
                "shop_name": visit.shop.settings.operator_name or "Keysat",
                "sandbox": visit.shop.mode == Mode.SANDBOX,
                "now": visit.now,
            }
            | context
        )
    )


def money(amount: Money, locale: str = LOCALE) -> str:
    """`$25.00`, `¥2,500`, `1,234 sats`. How many decimals is ISO 4217's say; babel only writes them."""
    if amount.currency == SAT:
        return f"{format_decimal(amount.minor, locale=locale)} {'sat' if abs(amount.minor) == 1 else 'sats'}"
    digits = exponent(amount.currency)
    pattern = Locale.parse(locale).currency_formats["standard"].pattern
    with_our_digits = _DECIMALS.sub("0." + "0" * digits if digits else "0", pattern)
    written = parse_pattern(with_our_digits).apply(
        Decimal(amount.decimal_text()), locale, currency=amount.currency, currency_digits=False
    )
    return _LETTER_BEFORE_DIGIT.sub("\u00a0", written)  # "KWD 19.900": CLDR's pattern alphaNextToNumber


def date(moment: datetime, locale: str = LOCALE) -> str:
    """`15 Jan 2026`, in UTC."""
    return format_date(moment, "d MMM y", locale=locale)


def date_and_time(moment: datetime, locale: str = LOCALE) -> str:
    """`15 Jan 2026, 12:00 UTC`."""
    return format_datetime(moment, "d MMM y, HH:mm 'UTC'", locale=locale)


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
