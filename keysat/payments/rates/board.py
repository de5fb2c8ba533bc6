"""The board: what a bitcoin costs now, asked of all sources at once and remembered for a minute.

In memory only: after a restart the first sale in a currency waits for one round (5 s at most).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial

from keysat.infra.http import HttpClient
from keysat.kit.clock import Clock
from keysat.kit.currencies import SAT, exponent
from keysat.kit.errors import BadRequest, UpstreamError
from keysat.kit.ids import Chance, fraction
from keysat.kit.money import BtcRate
from keysat.payments.provider import Transient
from keysat.payments.rates import breaker
from keysat.payments.rates.breaker import Breaker
from keysat.payments.rates.fetch import fetch
from keysat.payments.rates.quotes import RULES, Accepted, Quote, Refusal, Rules, agree
from keysat.payments.rates.sources import SOURCES, Source, SourceFailed

logger = logging.getLogger(__name__)

Ask = Callable[[str], Awaitable[Decimal | None]]
"""A source of our own, such as `Till.btc_rate`: currency -> price of one bitcoin in major units, or None."""

Question = Callable[[], Awaitable[Quote | None]]
Verdict = Accepted | Refusal


@dataclass(frozen=True, slots=True)
class Pace:
    """`payment-rails.md` 4.2, items 1, 3 and 6. SDK clients give up after 10 s, so a round is well below."""

    source_seconds: float = 5
    fresh: timedelta = timedelta(seconds=60)
    jitter: Fraction = Fraction(1, 10)  # either way, so that the currencies do not ask all at once
    usable: timedelta = timedelta(minutes=10)
    pause: timedelta = timedelta(seconds=10)  # after a round that found no price


PACE = Pace()


@dataclass(frozen=True, slots=True)
class RateEvidence:
    """A price and where it came from, as an order keeps it."""

    rate: BtcRate
    source: str  # "kraken+coinbase+bitstamp", "pin"
    sources: tuple[tuple[str, Decimal, datetime], ...]  # name, price of one bitcoin in major units, time of that price
    at: datetime
    stale: bool = False  # older than a minute, and being refreshed


@dataclass(frozen=True, slots=True)
class SourceHealth:
    name: str
    failures: int  # in a row
    open_until: datetime | None  # left alone until then
    openings: int  # since start


class RateUnavailable(UpstreamError):
    """No price that can be trusted. Nothing is wrong with the request."""

    def __init__(self, currency: str) -> None:
        super().__init__(
            f"The price in {currency} cannot be converted to bitcoin right now. "
            "Nothing was charged. Please try again in a minute.",
            retry_after_seconds=60,
        )


@dataclass(frozen=True, slots=True)
class _Post:
    """What the board knows of one currency."""

    accepted: Accepted | None = None
    fresh_until: datetime | None = None
    jumped: Accepted | None = None  # refused as a jump by the last round
    pause_until: datetime | None = None  # the last round found no price


_NOTHING = _Post()


class RateBoard:
    """Lives as long as the daemon; `aclose()` ends the rounds that run in the background."""

    def __init__(
        self,
        http: HttpClient,
        clock: Clock,
        chance: Chance,
        sources: Sequence[Source] = SOURCES,
        extra_sources: Mapping[str, Ask] | None = None,
        *,
        rules: Rules = RULES,
        pace: Pace = PACE,
    ) -> None:
        self._http = http
        self._clock = clock
        self._chance = chance
        self._sources = tuple(sources)
        self._extra = dict(extra_sources or {})
        self._rules = rules
        self._pace = pace
        self._breakers: dict[str, Breaker] = {}
        self._posts: dict[str, _Post] = {}
        self._rounds: dict[str, asyncio.Task[Verdict]] = {}
        self._is_closed = False

    async def rate(self, currency: str, pin: BtcRate | None = None) -> RateEvidence:
        """The price to sell at: the pin, else a price of the last minute, else one of the last ten minutes (`stale`).

        Asks the network only without any of them; then it takes 5 s at most. Raises BadRequest for an unknown currency
        and for SAT, RateUnavailable when the sources do not agree.
        """
        _check(currency)
        known = self.peek(currency, pin)
        if known is None:
            await self._round(currency)
            known = self.peek(currency)
        elif known.stale:
            self._start(currency)
        if known is None:
            raise RateUnavailable(currency)
        return known

    def peek(self, currency: str, pin: BtcRate | None = None) -> RateEvidence | None:
        """What is known without asking anyone, for pages that must not wait; SAT needs no rate and has none.

        Raises BadRequest for an unknown currency.
        """
        exponent(currency)
        now = self._clock.now()
        if pin is not None:
            return RateEvidence(pin, "pin", (), now)
        post = self._posts.get(currency, _NOTHING)
        if post.accepted is None or now - post.accepted.at >= self._pace.usable:
            return None
        return _evidence(post.accepted, stale=post.fresh_until is None or now >= post.fresh_until)

    def warm(self, currency: str, pin: BtcRate | None = None) -> None:
        """Begin a round when nothing fresh is known, without waiting for it: the next page can then `peek`."""
        known = self.peek(currency, pin)
        if currency != SAT and (known is None or known.stale):
            self._start(currency)

    async def refresh(self, currency: str) -> RateEvidence:
        """The operator's button: ask the sources now, whatever is known or pinned. Raises as `rate` does."""
        _check(currency)
        if currency in self._posts:
            self._posts[currency] = replace(self._posts[currency], pause_until=None)
        verdict = await self._round(currency)
        if not isinstance(verdict, Accepted):
            raise RateUnavailable(currency)
        return _evidence(verdict, stale=False)

    def known(self) -> tuple[RateEvidence, ...]:
        """All prices on the board that can still be used, by currency."""
        seen = (self.peek(currency) for currency in sorted(self._posts))
        return tuple(evidence for evidence in seen if evidence is not None)

    def health(self) -> tuple[SourceHealth, ...]:
        now = self._clock.now()
        names = [*(source.name for source in self._sources), *self._extra]
        states = [(name, self._breaker(name)) for name in names]
        return tuple(
            SourceHealth(name, state.failures, None if breaker.may_ask(state, now) else state.until, state.openings)
            for name, state in states
        )

    def add_source(self, name: str, ask: Ask) -> None:
        """A source of our own beside the public ones; another of the same name makes way. It is no exchange."""
        if any(source.name == name for source in self._sources):
            raise ValueError(f"{name} is the name of a public source")
        self._extra[name] = ask
        self._breakers.pop(name, None)

    def remove_source(self, name: str) -> None:
        self._extra.pop(name, None)
        self._breakers.pop(name, None)

    async def aclose(self) -> None:
        """Ends running rounds; who waits for one gets RateUnavailable."""
        self._is_closed = True
        running = tuple(self._rounds.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _round(self, currency: str) -> Verdict | None:
        """One round for all who wait: the one that runs, else a new one. It goes on when a waiter is cancelled."""
        task = self._start(currency)
        if task is None:
            return None
        await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    def _start(self, currency: str) -> asyncio.Task[Verdict] | None:
        """None when it is not the time for a round."""
        running = self._rounds.get(currency)
        pause_until = self._posts.get(currency, _NOTHING).pause_until
        is_pause = pause_until is not None and self._clock.now() < pause_until
        if running is not None or self._is_closed or is_pause:
            return running
        task = asyncio.create_task(self._ask_all(currency), name=f"rates {currency}")
        self._rounds[currency] = task
        task.add_done_callback(lambda ended: self._ended(currency, ended))
        return task

    def _ended(self, currency: str, task: asyncio.Task[Verdict]) -> None:
        del self._rounds[currency]
        if not task.cancelled() and (error := task.exception()):
            logger.error("a round of rates for %s broke", currency, exc_info=error)

    async def _ask_all(self, currency: str) -> Verdict:
        answers = await asyncio.gather(*(self._ask(name, question) for name, question in self._questions(currency)))
        quotes = [quote for quote in answers if quote is not None]
        now = self._clock.now()
        post = self._posts.get(currency, _NOTHING)
        verdict = agree(currency, quotes, post.accepted, post.jumped, now, self._rules)
        if isinstance(verdict, Accepted):
            self._posts[currency] = _Post(verdict, now + self._jittered(self._pace.fresh))
        else:
            logger.warning("no price of bitcoin in %s: %s", currency, verdict.reason)
            pause_until = now + self._jittered(self._pace.pause)
            self._posts[currency] = replace(post, jumped=verdict.jumped, pause_until=pause_until)
        return verdict

    def _questions(self, currency: str) -> Iterator[tuple[str, Question]]:
        for source in self._sources:
            if source.covers(currency):
                yield source.name, partial(fetch, source, currency, self._http, self._clock)
        for name, ask in self._extra.items():
            yield name, partial(self._ask_own, name, ask, currency)

    async def _ask_own(self, name: str, ask: Ask, currency: str) -> Quote | None:
        price = await ask(currency)
        return None if price is None else Quote(name, currency, price, self._clock.now(), is_exchange=False)

    async def _ask(self, name: str, question: Question) -> Quote | None:
        """The answer, if it comes in time. A failure is no answer; it stands on the source's breaker and in the log."""
        asked_at = self._clock.now()
        if not breaker.may_ask(self._breaker(name), asked_at):
            return None
        self._breakers[name] = breaker.asked(self._breaker(name), asked_at)
        try:
            async with asyncio.timeout(self._pace.source_seconds):
                quote = await question()
        except Exception as error:  # whatever one source does, the others decide
            self._failed(name, error)
            return None
        self._breakers[name] = breaker.succeeded(self._breaker(name))
        return quote

    def _failed(self, name: str, error: Exception) -> None:
        now = self._clock.now()
        throttled = isinstance(error, SourceFailed) and error.throttled
        wait = error.retry_after_seconds if isinstance(error, SourceFailed | Transient) else None
        state = breaker.failed(self._breaker(name), now, throttled=throttled, retry_after_seconds=wait)
        self._breakers[name] = state
        logger.warning("rate source %s failed: %s %s; open until %s", name, type(error).__name__, error, state.until)

    def _breaker(self, name: str) -> Breaker:
        return self._breakers.get(name, breaker.CLOSED)

    def _jittered(self, span: timedelta) -> timedelta:
        """The span, up to `jitter` shorter or longer."""
        share = 1 + self._pace.jitter * (2 * fraction(self._chance) - 1)
        return timedelta(microseconds=int(span // timedelta(microseconds=1) * share))


def _check(currency: str) -> None:
    """Raises BadRequest for what has no price in bitcoin."""
    exponent(currency)
    if currency == SAT:
        raise BadRequest("A price in sats needs no rate.")


def _evidence(accepted: Accepted, *, stale: bool) -> RateEvidence:
    return RateEvidence(
        BtcRate.of(accepted.currency, accepted.price),
        accepted.source,
        tuple((quote.source, quote.price, quote.at) for quote in accepted.quotes),
        accepted.at,
        stale,
    )
