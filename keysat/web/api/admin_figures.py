"""How many licenses there are, and what came in."""

from collections import Counter

from litestar import get

from keysat.checkout.sales import DAY, MONTH, WEEK, Figure, lately
from keysat.licenses.read import how_many
from keysat.licenses.tables import LicenseStatus
from keysat.upkeep.tallies import LICENSES, ORDERS, SATS, VALUE, figures, license_count
from keysat.web.provide import WithNow, WithRead
from keysat.web.wire import Outbound


class Summary(Outbound, frozen=True, kw_only=True):
    """Licenses by status, and how many were issued in the last 24 hours and 7 days, to the second."""

    total: int
    active: int
    suspended: int
    revoked: int
    last_24h: int
    last_7d: int


class Counts(Outbound, frozen=True, kw_only=True):
    """Licenses of any status, by the id of their product and of their tier."""

    by_product: dict[str, int]
    by_policy: dict[str, int]


class Income(Outbound, frozen=True, kw_only=True):
    """Of orders priced in this currency, in its minor unit."""

    currency: str
    orders: int
    total: int
    last_24h: int = 0
    last_7d: int = 0
    last_30d: int = 0


class Revenue(Outbound, frozen=True, kw_only=True):
    """Orders that were paid, at what they cost when they were opened: in sats, where a rate was known, and by currency.

    Spans of time go back from now, to the second.
    """

    total_sats: int
    last_24h_sats: int
    last_7d_sats: int
    last_30d_sats: int
    settled_paid_invoice_count: int
    by_currency: list[Income]


@get("/licenses/summary", operation_id="summarizeLicenses")
async def summary(read: WithRead, now: WithNow) -> Summary:
    """How many there are."""
    total = await license_count(read)
    suspended = await how_many(read, LicenseStatus.SUSPENDED)
    revoked = await how_many(read, LicenseStatus.REVOKED)
    return Summary(
        total=total,
        active=total - suspended - revoked,
        suspended=suspended,
        revoked=revoked,
        last_24h=await how_many(read, since=now - DAY),
        last_7d=await how_many(read, since=now - WEEK),
    )


@get("/licenses/counts", operation_id="countLicenses")
async def counts(read: WithRead) -> Counts:
    """How many of each product and tier."""
    by_product: Counter[str] = Counter()
    by_policy: Counter[str] = Counter()
    for (name, key), count in (await figures(read)).items():
        if name == LICENSES and count:
            product_id, _, policy_id = key.partition("/")
            by_product[product_id] += count
            if policy_id:
                by_policy[policy_id] += count
    return Counts(by_product=dict(by_product), by_policy=dict(by_policy))


@get("/revenue/summary", operation_id="summarizeRevenue")
async def revenue(read: WithRead, now: WithNow) -> Revenue:
    """What came in, ever and lately."""
    all_time = await figures(read)
    spans = await lately(read, now)
    incomes = [
        Income(
            currency=currency,
            orders=count,
            total=all_time[VALUE, currency],
            last_24h=spans[currency, Figure.VALUE, DAY],
            last_7d=spans[currency, Figure.VALUE, WEEK],
            last_30d=spans[currency, Figure.VALUE, MONTH],
        )
        for (name, currency), count in sorted(all_time.items())
        if name == ORDERS and count
    ]
    sats = {span: sum(spans[income.currency, Figure.SATS, span] for income in incomes) for span in (DAY, WEEK, MONTH)}
    return Revenue(
        total_sats=sum(amount for (name, _), amount in all_time.items() if name == SATS),
        last_24h_sats=sats[DAY],
        last_7d_sats=sats[WEEK],
        last_30d_sats=sats[MONTH],
        settled_paid_invoice_count=sum(income.orders for income in incomes),
        by_currency=incomes,
    )


OF_LICENSES = (summary, counts)
OF_ORDERS = (revenue,)
