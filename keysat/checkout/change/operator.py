"""What the operator does to a license's tier: gives, plans, or sends an invoice for."""

from enum import StrEnum
from uuid import UUID

from keysat.checkout.change.draft import Asker, draft_change
from keysat.checkout.change.open import check_may_change, hold_license, supersede_open
from keysat.checkout.change.plan import plan
from keysat.checkout.change.quote import Wanted, quote_change
from keysat.checkout.change.tables import ChangedBy, ChangeStatus, TierChangeId
from keysat.checkout.change.upgrade import upgrade
from keysat.checkout.desk import Desk
from keysat.checkout.draft import Buyer, draft
from keysat.checkout.quote import given
from keysat.checkout.settle import settle
from keysat.checkout.tables import PaidHow, Purpose
from keysat.infra.work import Work
from keysat.kit.money import Money
from keysat.subscriptions.proration import Proration


class When(StrEnum):
    """When an operator's change comes into force."""

    AT_ONCE = "at_once"  # given: nothing is charged
    AT_RENEWAL = "at_renewal"  # for the end of what is paid
    BY_INVOICE = "by_invoice"  # as soon as the difference is paid


async def by_operator(desk: Desk, license_id: UUID, wanted: Wanted, when: When, reason: str | None) -> TierChangeId:
    """Also to tiers that are not open, and without ranks. Raises as the one of the three that is meant."""
    asker = Asker(ChangedBy.ADMIN, reason)
    if when is When.BY_INVOICE:
        return await upgrade(desk, license_id, wanted, asker)
    async with desk.work() as work:
        return await (give if when is When.AT_ONCE else plan)(work, license_id, wanted, asker)


async def give(work: Work, license_id: UUID, wanted: Wanted, asker: Asker) -> TierChangeId:
    """By the operator, at once and for nothing: an order of price 0. What is paid goes on as the target's.

    Where nothing is paid any more, or the license was for good, a first cycle of the target is given too. Raises
    NotFound, BadRequest; Conflict as `check_may_change`.
    """
    license = await hold_license(work, license_id)
    await check_may_change(work, license)
    asked = await quote_change(work, license, wanted, work.now, by_operator=True)
    paid_through = asked.before.paid_through if license.is_subscribed else None
    is_anew = asked.choice.period is not None and (paid_through is None or paid_through <= work.now)
    buyer, quoted = Buyer(customer_id=license.customer_id), given(asked.choice.price)
    order = await draft(work, Purpose.TIER_CHANGE, asked.choice, quoted, buyer, license_id=license_id)
    free = Proration(Money(asked.charge.currency, 0), is_anew, 0 if is_anew else None)
    await supersede_open(work, license_id, ChangeStatus.AWAITING_PAYMENT)
    change = draft_change(work, asked, asker, ChangeStatus.AWAITING_PAYMENT, free, order)
    await work.session.flush()
    await settle(work, order, how=PaidHow.FREE)
    return change.id
