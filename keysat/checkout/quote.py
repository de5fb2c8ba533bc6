"""What a purchase will cost: list price, what is taken off, and both in sats. Pure."""

from dataclasses import dataclass

from keysat.kit.currencies import SAT
from keysat.kit.money import Money, to_sats
from keysat.payments.rates.board import RateEvidence


@dataclass(frozen=True, slots=True)
class Quote:
    """`base` is the list price, `price` what is charged, both in the listed currency.

    The sats are None when no rate is known; then only a provider that prices fiat itself can be asked.
    `rate` is None for prices in SAT, which need none.
    """

    base: Money
    price: Money
    base_sats: int | None
    amount_sats: int | None
    rate: RateEvidence | None

    @property
    def is_free(self) -> bool:
        return self.price.minor == 0


def quote(base: Money, rate: RateEvidence | None) -> Quote:
    """Fiat to sats rounds up, exactly (`payment-rails.md` 4.4). Raises BadRequest beyond 21 million BTC."""
    if base.currency == SAT or base.minor == 0:
        return Quote(base, base, base.minor, base.minor, None)
    if rate is None or rate.rate is None:
        return Quote(base, base, None, None, None)
    sats = to_sats(base, rate.rate)
    return Quote(base, base, sats, sats, rate)
