"""Starting a subscription: written with the license, in the sale's own transaction."""

from datetime import datetime
from uuid import UUID

from keysat.infra.events import Happening
from keysat.infra.work import Work
from keysat.kit.periods import Period, cycle_end
from keysat.subscriptions.tables import Subscription, SubscriptionId, SubscriptionStatus

ZONE = "UTC"  # the shop's calendar


class SubscriptionStarted(Happening, frozen=True, tag="subscription.started"):
    subscription_id: SubscriptionId
    license_id: UUID
    policy_id: UUID
    listed_currency: str
    listed_value: int


async def start(
    work: Work,
    *,
    license_id: UUID,
    policy_id: UUID,
    offer_id: UUID | None,
    period: Period,
    listed_currency: str,
    listed_value: int,
    trial_until: datetime | None = None,
) -> Subscription:
    """Anchored now, cycle 1 paid; on a trial anchored at its end, which is the end of cycle 0.

    The same calendar gave the license its expiry.
    """
    anchor_at, number = (trial_until, 0) if trial_until is not None else (work.now, 1)
    subscription = Subscription(
        id=SubscriptionId(work.new_id()),
        license_id=license_id,
        policy_id=policy_id,
        offer_id=offer_id,
        status=SubscriptionStatus.ACTIVE,
        anchor_at=anchor_at,
        zone=ZONE,
        period_count=period.count,
        period_unit=period.unit,
        listed_currency=listed_currency,
        listed_value=listed_value,
        cycle_number=number,
        paid_through=cycle_end(anchor_at, period, number, ZONE),
        started_at=work.now,
    )
    work.session.add(subscription)
    work.record(
        SubscriptionStarted(subscription.id, license_id, policy_id, listed_currency, listed_value),
    )
    return subscription
