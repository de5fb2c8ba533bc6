"""What subscriptions do, in the past tense. Amounts are minor units of `listed_currency`."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keysat.infra.events import Happening
from keysat.subscriptions.tables import SubscriptionId


class SkipReason(StrEnum):
    """Why no order is opened for a cycle that is due."""

    LICENSE_SUSPENDED = "license_suspended"
    PRODUCT_INACTIVE = "product_inactive"


class SubscriptionHappening(Happening, frozen=True):
    subscription_id: SubscriptionId
    license_id: UUID


class SoldHappening(SubscriptionHappening, frozen=True):
    """With what is sold, and to whom."""

    product_id: UUID
    policy_id: UUID
    customer_id: UUID | None


class SubscriptionStarted(SoldHappening, frozen=True, tag="subscription.started"):
    """`is_trial`: nothing is paid yet, and cycle 1 begins at `paid_through`."""

    listed_currency: str
    listed_value: int
    is_trial: bool
    paid_through: datetime


class SubscriptionRenewalPending(SoldHappening, frozen=True, tag="subscription.renewal_pending"):
    """The buyer can pay the next cycle. Told once for a cycle, also when its order is superseded by another."""

    order_id: UUID
    amount_sats: int | None
    listed_currency: str
    listed_value: int
    cycle_number: int
    cycle_start_at: datetime
    cycle_end_at: datetime
    due_at: datetime
    is_first_paid_cycle: bool


class SubscriptionRenewed(SubscriptionHappening, frozen=True, tag="subscription.renewed"):
    """`is_anew`: it was paid after a lapse, and a new calendar began."""

    order_id: UUID
    cycle_number: int
    paid_through: datetime
    is_anew: bool


class SubscriptionPastDue(SubscriptionHappening, frozen=True, tag="subscription.past_due"):
    policy_id: UUID
    paid_through: datetime
    grace_until: datetime


class SubscriptionLapsed(SoldHappening, frozen=True, tag="subscription.lapsed"):
    """It was not paid within its grace."""


class SubscriptionCancelled(SoldHappening, frozen=True, tag="subscription.cancelled"):
    paid_through: datetime


class SubscriptionCancelScheduled(SubscriptionHappening, frozen=True, tag="subscription.cancel_scheduled"):
    ends_at: datetime


class SubscriptionCancelWithdrawn(SubscriptionHappening, frozen=True, tag="subscription.cancel_withdrawn"):
    """It does not end with what is paid after all."""


class SubscriptionPaused(SubscriptionHappening, frozen=True, tag="subscription.paused"):
    paid_through: datetime


class SubscriptionResumed(SubscriptionHappening, frozen=True, tag="subscription.resumed"):
    """`is_paid`: it goes on as before; else with the next payment."""

    is_paid: bool


class SubscriptionRenewalFailed(SubscriptionHappening, frozen=True, tag="subscription.renewal_failed"):
    """No order could be opened. `next_attempt_at` null: the subscription is parked."""

    reason: str
    consecutive_failures: int
    next_attempt_at: datetime | None


class SubscriptionUnparked(SubscriptionHappening, frozen=True, tag="subscription.unparked"):
    """Its next order is tried again."""


class SubscriptionRenewalSkipped(SubscriptionHappening, frozen=True, tag="subscription.renewal_skipped"):
    """Told once for a cycle."""

    product_id: UUID
    policy_id: UUID
    cycle_number: int
    reason: SkipReason


class SubscriptionAutoChargeInitiated(SubscriptionHappening, frozen=True, tag="subscription.auto_charge_initiated"):
    """A saved card was asked to pay, which is not paid yet."""

    order_id: UUID
    cycle_number: int


class SubscriptionAutoChargeFailed(SubscriptionHappening, frozen=True, tag="subscription.auto_charge_failed"):
    """`reason` is a code, not the provider's words. The pay link stands."""

    order_id: UUID
    cycle_number: int
    reason: str


class SubscriptionPriceChanged(SubscriptionHappening, frozen=True, tag="subscription.price_changed"):
    """A new list price was announced, which holds from the cycle that begins at `holds_from`."""

    listed_currency: str
    old_value: int
    new_value: int
    from_cycle: int
    holds_from: datetime


class SubscriptionMoved(SubscriptionHappening, frozen=True, tag="subscription.moved"):
    """To another tier or offer, with its whole price tuple. `license.tier_changed` tells of the license."""

    from_policy_id: UUID
    to_policy_id: UUID
    listed_currency: str
    listed_value: int
    paid_through: datetime
    is_anew: bool
