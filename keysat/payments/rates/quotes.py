"""When a price of bitcoin counts: pure, from what the sources said to one price or the reason why there is none.

Source: `payment-rails.md` 4.2, items 2 to 5 and 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median

from keysat.payments.rates.fences import fence

MAJORS = frozenset({"USD", "EUR", "GBP", "CHF", "CAD", "AUD", "JPY"})
"""Traded against bitcoin on several exchanges at once: their prices lie close together."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Shares are of the price they are compared with: 0.02 is 2 %."""

    cut_major: Decimal = Decimal("0.02")
    cut_other: Decimal = Decimal("0.05")
    pair_spread_max: Decimal = Decimal("0.03")
    quorum: int = 2
    exchanges_min: int = 1  # the aggregators all read the same exchanges
    age_max: timedelta = timedelta(minutes=5)
    ahead_max: timedelta = timedelta(seconds=60)  # of a source's clock
    jump: Decimal = Decimal("0.15")
    jump_memory: timedelta = timedelta(hours=1)
    jump_quorum: int = 3
    hold_min: timedelta = timedelta(seconds=30)  # two rounds within a moment see the same glitch twice
    hold_max: timedelta = timedelta(minutes=10)

    def cut(self, currency: str) -> Decimal:
        return self.cut_major if currency in MAJORS else self.cut_other


RULES = Rules()


@dataclass(frozen=True, slots=True)
class Quote:
    """What one source said: the price of one bitcoin in major units."""

    source: str
    currency: str
    price: Decimal
    at: datetime  # the source's own time stamp, else when its answer came
    is_exchange: bool  # a market of its own, not an average of others


@dataclass(frozen=True, slots=True)
class Accepted:
    currency: str
    price: Decimal
    at: datetime  # of the round
    quotes: tuple[Quote, ...]  # those that agreed, in the order of the sources

    @property
    def source(self) -> str:
        """The names of those that agreed, as an order keeps them: `kraken+coinbase`."""
        return "+".join(quote.source for quote in self.quotes)


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str  # for the operator
    jumped: Accepted | None = None  # a price that is believed when the next round finds it too


def agree(
    currency: str,
    quotes: Sequence[Quote],
    previous: Accepted | None,
    jumped: Accepted | None,
    now: datetime,
    rules: Rules = RULES,
) -> Accepted | Refusal:
    """One round's verdict. `previous` is the last accepted price, `jumped` what the round before refused as a jump."""
    agreeing = _close_together([quote for quote in quotes if _usable(quote, currency, now, rules)], currency, rules)
    if reason := _objection(agreeing, rules):
        return Refusal(reason)
    found = Accepted(currency, median(quote.price for quote in agreeing), now, tuple(agreeing))
    if len(agreeing) >= rules.jump_quorum or not _is_jump(found, previous, rules):
        return found
    return _held(found, jumped, rules)


def _usable(quote: Quote, currency: str, now: datetime, rules: Rules) -> bool:
    is_fresh = -rules.ahead_max <= now - quote.at <= rules.age_max
    return quote.currency == currency and is_fresh and fence(currency).holds(quote.price)


def _close_together(quotes: list[Quote], currency: str, rules: Rules) -> list[Quote]:
    if not quotes:
        return []
    middle = median(quote.price for quote in quotes)
    return [quote for quote in quotes if _apart(quote.price, middle) <= rules.cut(currency)]


def _objection(agreeing: Sequence[Quote], rules: Rules) -> str | None:
    if len({quote.source for quote in agreeing}) < rules.quorum:
        return f"{len(agreeing)} of the sources agree, {rules.quorum} are needed"
    if sum(quote.is_exchange for quote in agreeing) < rules.exchanges_min:
        return "no exchange is among the sources that agree"
    prices = sorted(quote.price for quote in agreeing)
    if len(prices) == 2 and _apart(prices[1], prices[0]) > rules.pair_spread_max:
        return "there are two sources only, and they differ"
    return None


def _is_jump(found: Accepted, previous: Accepted | None, rules: Rules) -> bool:
    if previous is None or found.at - previous.at >= rules.jump_memory:
        return False
    return _apart(found.price, previous.price) > rules.jump


def _held(found: Accepted, jumped: Accepted | None, rules: Rules) -> Accepted | Refusal:
    if jumped is None or _apart(found.price, jumped.price) > rules.cut(found.currency):
        return Refusal(f"the price jumped to {found.price} and too few sources say so", jumped=found)
    if found.at - jumped.at > rules.hold_max:
        return Refusal(f"the price jumped to {found.price}, long after that was last seen", jumped=found)
    if found.at - jumped.at < rules.hold_min:
        return Refusal(f"the price jumped to {found.price} a moment ago and has yet to hold", jumped=jumped)
    return found


def _apart(price: Decimal, base: Decimal) -> Decimal:
    return abs(price - base) / base
