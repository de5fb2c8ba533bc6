"""What a change of tier is and what it costs: contract 7.1 and 7.2, as `decisions.md` has them. Writes nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import replace

from keysat.catalog.read import policies, product
from keysat.catalog.tiers import Choice, list_price, pick, tier_named
from keysat.catalog.views import PolicyView, ProductView
from keysat.checkout.change.tables import ChangeDirection, TierChange
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.kit.money import Money
from keysat.kit.periods import Period, length_days, one_after
from keysat.licenses.tables import License
from keysat.subscriptions.proration import Paid, Price, Proration, prorate
from keysat.subscriptions.read import paid_now, subscription_of
from keysat.subscriptions.rules import renews
from keysat.subscriptions.tables import Subscription, SubscriptionStatus

IMMEDIATE = "immediate"
ADMIN_ONLY = "Going to a lower tier is admin-only: ask the seller."


class Before(NamedTuple):
    """All that a quote hangs on. Is it another when the money comes, the quote is stale.

    That what is paid is over changes none that was asked for before: by then the buyer stood at the checkout.
    """

    policy_id: UUID | None
    offer_id: UUID | None
    license_end: datetime | None
    subscription: SubscriptionStatus | None
    cycle: int | None
    paid_through: datetime | None

    @classmethod
    def of(cls, license: License, row: Subscription | None) -> "Before":
        if row is None:
            return cls(license.policy_id, None, license.expires_at, None, None, None)
        rest = _before_due(row.status), row.cycle_number, row.paid_through
        return cls(license.policy_id, row.offer_id, license.expires_at, *rest)

    @classmethod
    def quoted(cls, change: TierChange) -> "Before":
        rest = _before_due(change.quoted_subscription), change.quoted_cycle, change.quoted_paid_through
        return cls(change.from_policy_id, change.from_offer_id, change.quoted_license_end, *rest)


def _before_due(status: SubscriptionStatus | None) -> SubscriptionStatus | None:
    return SubscriptionStatus.ACTIVE if status is SubscriptionStatus.PAST_DUE else status


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tier to go to, and which offer of it; None: its own price and period."""

    policy_slug: str
    offer: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeQuote:
    license_id: UUID
    customer_id: UUID | None
    current: PolicyView
    choice: Choice
    """The target: its `price` is the list price."""
    direction: ChangeDirection
    proration: Proration
    before: Before
    at: datetime
    renews: bool
    """Once changed, there is a next charge."""

    @property
    def charge(self) -> Money:
        return self.proration.charge

    @property
    def target(self) -> PolicyView:
        if self.choice.policy is None:
            raise LookupError("a change has a target")
        return self.choice.policy

    @property
    def price(self) -> Price:
        return Price(self.choice.price, self.choice.period)

    @property
    def effective_at(self) -> datetime | None:
        """None: at once. A downgrade holds from the end of what is paid."""
        end = self.before.paid_through
        is_later = self.direction is ChangeDirection.DOWNGRADE and self.choice.period and end and end > self.at
        return end if is_later else None


# Contract 3.15
class UpgradeQuote(msgspec.Struct, frozen=True):
    """`POST /v1/upgrade-quote`. Amounts in minor units of `listed_currency`.

    `effective_at` is the word `immediate`, or a moment.
    """

    from_policy_id: UUID
    from_policy_slug: str
    to_policy_id: UUID
    to_policy_slug: str
    direction: ChangeDirection
    listed_currency: str
    proration_charge_value: int
    effective_at: str
    next_renewal_charge: int | None
    next_renewal_period_days: int | None


async def quote_change(
    read: Read, license: License, wanted: Wanted, now: datetime, *, by_operator: bool = False
) -> ChangeQuote:
    """In the order of contract 7.1. The operator may also choose tiers that are not open, and needs no ranks.

    Raises NotFound for an unknown tier or offer; BadRequest; Conflict when the two are priced in different currencies.
    """
    shop_product = await product(read, license.product_id)
    tiers = await policies(read, shop_product)
    target = tier_named(shop_product, tiers, wanted.policy_slug, by_operator=by_operator)
    if license.policy_id is None:
        raise BadRequest("This license has no tier, so there is none to change from. Ask the seller.")
    current = next(tier for tier in tiers if tier.id == license.policy_id)
    row = await subscription_of(read, license.id)
    before = Before.of(license, row)
    subscription = row if license.is_subscribed else None
    _check_other(wanted, current, target, subscription)
    choice = _choice(shop_product, target, wanted, by_operator=by_operator)
    was = _price_now(shop_product, current, license, subscription)
    direction = _direction(current, choice, was, by_operator=by_operator)
    is_lower = direction is ChangeDirection.DOWNGRADE
    if not by_operator:
        if is_lower and choice.period is None:
            raise BadRequest(f"A license that is for good has no renewal to go down at. {ADMIN_ONLY}")
        if license.expires_at is not None and license.expires_at <= now:
            raise BadRequest("What was paid for this license is over. Renew it first, then change its tier.")
    paid = await paid_now(read, subscription.id, now) if subscription else _time_bought(license, current, was)
    proration = prorate(was, paid, _price(choice), now)
    if is_lower and choice.period is not None:  # nothing is charged, nothing is given back
        proration = Proration(Money(choice.price.currency, 0), False, None)
    is_renewing = choice.period is not None and (proration.is_anew or subscription is None or renews(subscription))
    return ChangeQuote(
        license.id, license.customer_id, current, choice, direction, proration, before, now, renews=is_renewing
    )


def upgrade_quote(asked: ChangeQuote) -> UpgradeQuote:
    period = asked.choice.period if asked.renews else None
    effective_at = asked.effective_at
    return UpgradeQuote(
        from_policy_id=asked.current.id,
        from_policy_slug=asked.current.slug,
        to_policy_id=asked.target.id,
        to_policy_slug=asked.target.slug,
        direction=asked.direction,
        listed_currency=asked.charge.currency,
        proration_charge_value=asked.charge.minor,
        effective_at=IMMEDIATE if effective_at is None else effective_at.isoformat().replace("+00:00", "Z"),
        next_renewal_charge=asked.choice.price.minor if period is not None else None,
        next_renewal_period_days=_days(asked, period) if period is not None else None,
    )


def _check_other(wanted: Wanted, current: PolicyView, target: PolicyView, subscription: Subscription | None) -> None:
    """A change leads to another tier, or to another offer of a subscribed one."""
    offer = next((offer.id for offer in target.offers if offer.slug == wanted.offer), None)
    has_it = subscription is None or (subscription.offer_id == offer and not (wanted.offer and offer is None))
    if target.id == current.id and has_it:
        raise BadRequest(f"This license has the tier {current.slug} already.")


def _choice(sold: ProductView, target: PolicyView, wanted: Wanted, *, by_operator: bool) -> Choice:
    """Buyers go where anyone may buy; the operator also to what is private, archived or of a product off sale."""
    if by_operator:
        sold, target = replace(sold, active=True), replace(target, public=True, archived_at=None)
    return pick(sold, [target], wanted.policy_slug, wanted.offer)


def _price(choice: Choice) -> Price:
    ends = choice.policy is not None and choice.policy.duration_seconds > 0
    return Price(choice.price, choice.period, is_timed=choice.period is None and ends)


def _price_now(sold: ProductView, current: PolicyView, license: License, subscription: Subscription | None) -> Price:
    """What a subscription renews at, which may be an old price; else the tier's list price."""
    if subscription is None:
        return Price(list_price(sold, current), None, is_timed=license.expires_at is not None)
    money = Money(subscription.listed_currency, subscription.listed_value)
    return Price(money, Period(subscription.period_count, subscription.period_unit))


def _time_bought(license: License, current: PolicyView, was: Price) -> list[Paid]:
    """Of a license that was bought once and ends. A trial is not paid."""
    if license.expires_at is None or license.is_trial or not current.duration_seconds:
        return []
    starts_at = license.expires_at - timedelta(seconds=current.duration_seconds)
    return [Paid(starts_at, license.expires_at, was.money.minor, was.money.minor)]


def _direction(current: PolicyView, choice: Choice, was: Price, *, by_operator: bool) -> ChangeDirection:
    """By rank; within a tier, and for the operator also without ranks, by list price."""
    target = choice.policy
    if target is not None and target.id != current.id:
        old, new = current.tier_rank, target.tier_rank
        if old is not None and new is not None and old != new:
            return ChangeDirection.UPGRADE if new > old else ChangeDirection.DOWNGRADE
        if not by_operator:
            words = {
                old is None: f"The tier {current.slug} has no rank among the others",
                new is None: f"The tier {target.slug} has no rank among the others",
            }
            raise BadRequest(f"{words.get(True, 'The two tiers have the same rank')}: ask the seller.")
    return ChangeDirection.UPGRADE if choice.price.minor >= was.money.minor else ChangeDirection.DOWNGRADE


def _days(asked: ChangeQuote, period: Period) -> int:
    """Of the cycle that the next charge pays."""
    end = asked.before.paid_through
    start = end if end is not None and not asked.proration.is_anew else one_after(asked.at, period)
    return max(1, length_days(start, one_after(start, period)))
