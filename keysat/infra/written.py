"""How money, moments and counts are written for people, on pages and in letters. Pure."""

import re
from datetime import datetime
from decimal import Decimal

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal, parse_pattern

from keysat.kit.currencies import SAT, exponent
from keysat.kit.money import Money

LOCALE = "en"
_DECIMALS = re.compile(r"0\.0+")
_LETTER_BEFORE_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)")


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


def minute(moment: datetime) -> str:
    """`2026-01-15 12:00 UTC`, in messages to the operator."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def counts(*named: tuple[int, str]) -> str:
    """`3 licenses, 1 open order`, of nouns in the singular; what there is none of is left out."""
    return ", ".join(f"{count} {noun}{'s' if count != 1 else ''}" for count, noun in named if count)
