"""The wide fence a price of one bitcoin must lie in: it catches inverted pairs and prices in the wrong unit.

Source: `payment-rails.md` 4.2, item 2: 1,000 to 100,000,000 USD. The fence of another currency is derived from it by
the order of magnitude of what a dollar costs there; a currency whose worth swings or is unknown gets a wider one.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Fence:
    low: Decimal
    high: Decimal

    def holds(self, price: Decimal) -> bool:
        return price.is_finite() and self.low <= price <= self.high


USD = Fence(Decimal(1_000), Decimal(100_000_000))

UNKNOWN = Fence(Decimal(100), Decimal(10) ** 13)
"""From a third of a Kuwaiti dinar to a hundred thousand rial for a dollar."""

UNITS_PER_DOLLAR = {
    1: "USD EUR GBP CHF CAD AUD NZD SGD BND AED SAR QAR ILS BRL PLN RON MYR PEN GEL AZN BAM FJD KWD BHD OMR",
    10: "CNY HKD MOP SEK NOK DKK ZAR MXN CZK TWD THB MAD MDL UAH TRY EGP GTQ BOB BWP NAD UYU TTD",
    100: "JPY INR RUB PHP HUF ISK RSD BDT LKR NPR PKR KES JMD DOP DZD ALL MKD HNL NIO KGS AMD ETB",
    1_000: "KRW CLP ARS CRC XAF XOF NGN KZT RWF AOA YER",
    10_000: "COP IDR VND UGX TZS PYG KHR LAK UZS GNF MGA MNT IQD",
}
"""Only the order of magnitude: the fence reaches two orders below and three above a bitcoin of 100,000 USD."""

_FENCES = {
    code: Fence(USD.low * units, USD.high * units)
    for units, codes in UNITS_PER_DOLLAR.items()
    for code in codes.split()
}


def fence(currency: str) -> Fence:
    return _FENCES.get(currency, UNKNOWN)
