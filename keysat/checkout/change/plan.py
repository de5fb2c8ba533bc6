"""A change of tier that waits for the renewal: planned, and taken back."""

from uuid import UUID

from keysat.checkout.change.draft import Asker, draft_change
from keysat.checkout.change.open import check_may_change, hold_license, open_change, supersede_open
from keysat.checkout.change.quote import Wanted, quote_change
from keysat.checkout.change.tables import CHANGE, ChangedBy, ChangeStatus, ChangeStep, TierChange, TierChangeId
from keysat.checkout.happenings import LicenseTierChangeCancelled, LicenseTierChangeScheduled
from keysat.checkout.next_order import drop
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.money import Money
from keysat.subscriptions.lifecycle import drop_open_cycle
from keysat.subscriptions.openings import put_off
from keysat.subscriptions.proration import Proration
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.rules import attempt_at
from keysat.subscriptions.tables import SubscriptionStatus


async def plan(work: Work, license_id: UUID, wanted: Wanted, asker: Asker) -> TierChangeId:
    """For the end of what is paid, and free of charge: from then on it renews as the target. Another plan is replaced.

    Raises NotFound, BadRequest; Conflict when the next renewal is being paid, or the operator's plan stands.
    """
    license = await hold_license(work, license_id)
    await check_may_change(work, license)
    asked = await quote_change(work, license, wanted, work.now, by_operator=asker.is_operator)
    subscription = await subscription_of(work, license_id) if license.is_subscribed else None
    is_running = subscription is not None and subscription.status is SubscriptionStatus.ACTIVE
    if subscription is None or not is_running or not asked.renews or subscription.paid_through <= work.now:
        raise BadRequest("This license has no renewal to come at which its tier could change.")
    _check_own(await open_change(work, license_id, ChangeStatus.SCHEDULED), asker.by)
    await supersede_open(work, license_id, ChangeStatus.SCHEDULED)
    free = Proration(Money(asked.charge.currency, 0), False, None)
    change = draft_change(work, asked, asker, ChangeStatus.SCHEDULED, free, None)
    change.effective_at = subscription.paid_through
    await drop(work, await drop_open_cycle(work, subscription.id))
    await put_off(work, subscription, subscription.paid_through)
    work.record(
        LicenseTierChangeScheduled(
            license_id=license_id,
            tier_change_id=change.id,
            to_policy_id=change.to_policy_id,
            effective_at=subscription.paid_through,
        )
    )
    return change.id


async def unplan(work: Work, license_id: UUID, by: ChangedBy = ChangedBy.ADMIN) -> TierChange:
    """What was planned does not happen. Raises NotFound; Conflict when nothing is planned, or not by this buyer."""
    await hold_license(work, license_id)
    change = await open_change(work, license_id, ChangeStatus.SCHEDULED)
    if change is None:
        raise Conflict("No change of tier is planned for this license.")
    _check_own(change, by)
    await work.advance(CHANGE, change, ChangeStep.CANCEL, status_at=work.now)
    work.record(LicenseTierChangeCancelled(license_id, change.id))
    subscription = await subscription_of(work, license_id)
    is_running = subscription is not None and subscription.status is SubscriptionStatus.ACTIVE
    if subscription is not None and is_running and subscription.next_attempt_at is not None:
        await put_off(work, subscription, attempt_at(subscription))
    return change


def _check_own(planned: TierChange | None, by: ChangedBy) -> None:
    """A buyer takes back what he planned himself; the operator whatever was planned."""
    if planned is not None and by is ChangedBy.BUYER and planned.actor is not ChangedBy.BUYER:
        raise Conflict("The seller has planned this change. Ask the seller to take it back.")
