"""Where a license can go from its tier, with the price of each way, as its buyer is shown them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from keysat.catalog.read import policy
from keysat.catalog.views import PolicyView
from keysat.checkout.change.quote import ChangeQuote, Wanted, quote_change
from keysat.checkout.change.tables import (
    ChangedBy,
    ChangeDirection,
    ChangeStatus,
    TierChange,
)
from keysat.checkout.quote import known_quote
from keysat.infra.work import Read
from keysat.infra.written import date, money
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.money import Money
from keysat.kit.periods import one_after
from keysat.licenses.tables import License
from keysat.payments.provider import Rail
from keysat.payments.rates.board import RateEvidence
from keysat.web.public import words
from keysat.web.public.cards import Line, entitlement_lines, value_of


@dataclass(frozen=True, slots=True)
class Way:
    """One way to go on: to another tier, or to another offer of the same."""

    value: str
    """What the form sends."""
    name: str
    """The tier's, and how often it is paid where that tells it from another way: `Team, each year`."""
    asked: ChangeQuote
    sats: Money | None

    @classmethod
    def of(cls, asked: ChangeQuote, rate: RateEvidence | None = None) -> "Way":
        offer = asked.choice.offer
        sats = _sats(asked.charge, rate)
        name, period = asked.target.name, asked.choice.period
        is_other = asked.target.id != asked.current.id and offer is None
        name = name if is_other or period is None else f"{name}, {words.each(period)}"
        return cls(value_of(asked.choice), name, asked, sats)

    @property
    def charge(self) -> Money:
        return self.asked.charge

    @property
    def is_later(self) -> bool:
        return self.asked.effective_at is not None

    @property
    def now(self) -> str:
        """`$50.00 now`, `from 15 Feb 2026`."""
        at = self.asked.effective_at
        return f"from {date(at)}, nothing to pay now" if at is not None else f"{money(self.charge)} now"

    @property
    def then(self) -> str:
        """`then $12.00 / month`, `yours for ever`; empty: it ends as the license did."""
        choice, anew = self.asked.choice, self.asked.proration.is_anew
        if choice.period is None:
            return "no further payments" if self.asked.before.paid_through else ""
        if not self.asked.renews:
            return ""
        price = f"{money(choice.price)} {words.cadence(choice.period)}"
        through = one_after(self.asked.at, choice.period) if anew else self.asked.before.paid_through
        return f"then {price}" + (f", next on {date(through)}" if through is not None else "")

    @property
    def seats(self) -> str:
        return words.seats(self.asked.target.max_machines)

    @property
    def lines(self) -> list[Line]:
        target = self.asked.target
        return entitlement_lines(self.asked.choice.product, target.entitlements, target.hidden_entitlements)

    def act(self, rails: Collection[Rail]) -> str:
        at = self.asked.effective_at
        return f"Change on {date(at)}" if at is not None else words.act(self.charge, rails)


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that waits for the end of what is paid."""

    name: str
    price: Money
    at: datetime | None
    is_own: bool
    """The buyer planned it, and may take it back."""


async def ways(read: Read, license: License, tiers: Sequence[PolicyView], now: datetime) -> list[Way]:
    """All that its buyer can choose right now, in the order of the buy page."""
    found: list[Way] = []
    for tier in tiers if license.policy_id is not None else ():
        for slug in (None, *(offer.slug for offer in tier.offers if offer.active)):
            try:
                asked = await quote_change(read, license, Wanted(tier.slug, slug), now)
            except (BadRequest, NotFound, Conflict):  # it does not lead there
                continue
            if _is_for_buyers(asked):
                found.append(Way.of(asked))
    return found


def _is_for_buyers(asked: ChangeQuote) -> bool:
    """As `change.upgrade` sees it, which has the last word."""
    if asked.direction is ChangeDirection.UPGRADE:
        return asked.charge.minor > 0
    return asked.choice.product.downgrade_at_renewal and asked.renews and asked.effective_at is not None


async def planned(read: Read, license_id: UUID) -> Plan | None:
    change = await read.session.scalar(
        select(TierChange).where(TierChange.license_id == license_id, TierChange.status == ChangeStatus.SCHEDULED)
    )
    if change is None:
        return None
    target = await policy(read, change.to_policy_id)
    return Plan(
        target.name,
        Money(change.listed_currency, change.target_value),
        change.effective_at,
        change.actor is ChangedBy.BUYER,
    )


def _sats(charge: Money, rate: RateEvidence | None) -> Money | None:
    if charge.currency == SAT or not charge.minor:
        return None
    found = known_quote(charge, rate)
    return Money(SAT, found.amount_sats) if found is not None and found.amount_sats else None
