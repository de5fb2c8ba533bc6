"""ISO 4217, list one as published on 2026-01-01, and SAT: codes and how many decimals each has.

Left out are the codes without a minor unit ("N.A.": metals, baskets, XTS, XXX), in which nothing can be priced.
The exponents are ISO's own; what a provider makes of them (BTCPay: ARS and COP with 0) is the provider's affair.
"""

from keysat.kit.errors import BadRequest

SAT = "SAT"
"""The satoshi, 10^-8 BTC: here a currency without decimals. Not an ISO code."""

_BY_EXPONENT = {
    0: f"{SAT} BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP "
        "GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT "
        "LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN "
        "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
        "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
        "YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS = {code: exponent for exponent, codes in _BY_EXPONENT.items() for code in codes.split()}
"""Code -> number of decimals, for every currency Keysat knows."""


def is_known(code: str) -> bool:
    return code in EXPONENTS


def exponent(code: str) -> int:
    """How many decimals the currency has. Raises BadRequest for a code that is not in the list."""
    try:
        return EXPONENTS[code]
    except KeyError:
        raise BadRequest(
            f"{code[:16]!r} is not a currency: give an active ISO 4217 code in capitals, such as USD, or SAT"
        ) from None
