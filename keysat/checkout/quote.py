"""What a purchase will cost: list price, what a code takes off, and both in sats. Pure, and shared with the preview."""

from dataclasses import dataclass
from fractions import Fraction

from keysat.catalog.pricing import Cut, reduced, works_in_sats
from keysat.kit.currencies import SAT, exponent
from keysat.kit.errors import BadRequest
from keysat.kit.money import SATS_PER_BTC, BtcRate, Money, to_sats, up
from keysat.payments.rates.board import RateEvidence, RateUnavailable

CENTIBPS_PER_MAJOR = 10_000


@dataclass(frozen=True, slots=True)
class Quote:
    """`base` is the list price, `price` what is charged, both in the listed currency.

    The sats are None when no rate is known; then only a provider that prices fiat itself can be asked. After a code in
    sats, `is_in_sats`: the sats are what is charged, and `price` is what they are worth.
    `rate` is None for prices in SAT, which need none.
    """

    base: Money
    price: Money
    base_sats: int | None
    amount_sats: int | None
    rate: RateEvidence | None
    is_in_sats: bool = False

    @property
    def is_free(self) -> bool:
        return self.price.minor == 0

    @property
    def is_list_price(self) -> bool:
        """Nothing was taken off."""
        return (self.price, self.amount_sats) == (self.base, self.base_sats)

    @property
    def asked(self) -> Money:
        """What the provider is to ask for."""
        return Money(SAT, self.amount_sats or 0) if self.is_in_sats else self.price


def quote(base: Money, rate: RateEvidence | None, discount: Cut | None = None) -> Quote:
    """Fiat to sats rounds up, exactly (`payment-rails.md` 4.4); whether the code applies is asked before.

    Raises BadRequest beyond 21 million BTC; RateUnavailable when a code in sats meets a price in fiat without a rate.
    """
    if discount is not None and works_in_sats(discount, base.currency) and base.minor:
        return _less_sats(base, rate, discount)
    price = reduced(base, discount) if discount is not None and base.minor else base
    if base.currency == SAT or base.minor == 0:
        return Quote(base, price, base.minor, price.minor, None)
    if rate is None:
        return Quote(base, price, None, 0 if price.minor == 0 else None, None)
    return Quote(base, price, to_sats(base, rate.rate), to_sats(price, rate.rate), rate)


def given(base: Money, rate: RateEvidence | None = None) -> Quote:
    """What has a price and is given for nothing: the price stays beside it, for what comes after (D-2)."""
    sats = quote(base, rate)
    return Quote(base, Money(base.currency, 0), sats.base_sats, 0, sats.rate)


def known_quote(base: Money, rate: RateEvidence | None, discount: Cut | None = None) -> Quote | None:
    """As `quote`. None: it cannot be reckoned right now, or is more bitcoin than there is. A purchase will say so."""
    try:
        return quote(base, rate, discount)
    except (BadRequest, RateUnavailable):
        return None


def _less_sats(base: Money, rate: RateEvidence | None, discount: Cut) -> Quote:
    if rate is None:
        raise RateUnavailable(base.currency)
    base_sats = to_sats(base, rate.rate)
    left = reduced(Money(SAT, base_sats), discount)
    price = base if left.minor == base_sats else _worth(left, rate.rate)
    return Quote(base, price, base_sats, left.minor, rate, is_in_sats=True)


def _worth(sats: Money, rate: BtcRate) -> Money:
    """In the rate's currency, rounded up: 0 only for 0, and not above a list price that is more sats."""
    major = Fraction(sats.minor * rate.centibps, SATS_PER_BTC * CENTIBPS_PER_MAJOR)
    return Money(rate.currency, up(major * 10 ** exponent(rate.currency)))
