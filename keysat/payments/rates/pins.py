"""The operator's pins: a price of bitcoin that is used instead of the sources', per currency, until it is cleared."""

from collections.abc import Mapping
from decimal import Decimal

from sqlalchemy import delete, select

from keysat.infra.work import Read, Work
from keysat.kit.currencies import SAT, exponent
from keysat.kit.errors import BadRequest
from keysat.kit.money import BtcRate
from keysat.payments.happenings import RatePinned, RateUnpinned
from keysat.payments.rates.fences import fence
from keysat.payments.rates.tables import RatePin


async def set_pin(work: Work, currency: str, price: Decimal) -> BtcRate:
    """`price` of one bitcoin in major units, rounded half up to 1/10,000. The same price again changes nothing.

    Raises BadRequest for an unknown currency, for SAT, and for a price beyond the currency's fence.
    """
    rate = _sane(currency, price)
    pinned = {"centibps": rate.centibps, "set_at": work.now}
    changed = await work.session.execute(
        work.insert(RatePin)
        .values(currency=currency, **pinned)
        .on_conflict_do_update(index_elements=["currency"], set_=pinned, where=RatePin.centibps != rate.centibps)
        .returning(RatePin.currency)
    )
    if changed.first() is not None:
        work.record(RatePinned(currency, rate.centibps))
    return rate


async def clear_pin(work: Work, currency: str) -> bool:
    """Back to the sources. False when there was no pin."""
    gone = await work.session.execute(delete(RatePin).where(RatePin.currency == currency).returning(RatePin.currency))
    was_pinned = gone.first() is not None
    if was_pinned:
        work.record(RateUnpinned(currency))
    return was_pinned


async def pin_of(read: Read, currency: str) -> BtcRate | None:
    centibps = await read.session.scalar(select(RatePin.centibps).where(RatePin.currency == currency))
    return None if centibps is None else BtcRate(currency, centibps)


async def all_pins(read: Read) -> Mapping[str, BtcRate]:
    """By currency, in order."""
    rows = await read.session.execute(select(RatePin.currency, RatePin.centibps).order_by(RatePin.currency))
    return {currency: BtcRate(currency, centibps) for currency, centibps in rows}


def _sane(currency: str, price: Decimal) -> BtcRate:
    exponent(currency)
    if currency == SAT:
        raise BadRequest("A price in SAT needs no rate: one bitcoin is 100,000,000 sats.")
    limits = fence(currency)
    if not limits.holds(price):
        raise BadRequest(
            f"{price:.12g} {currency} for one bitcoin cannot be right: give the price of one whole bitcoin, "
            f"between {limits.low:,} and {limits.high:,} {currency}."
        )
    return BtcRate.of(currency, price)
