"""A change of tier as it is told, to buyers and to the operator."""

from datetime import datetime
from uuid import UUID

import msgspec

from keysat.catalog.tables import Policy
from keysat.checkout.change.tables import ChangeDirection, ChangeStatus, TierChange, TierChangeId
from keysat.checkout.read import payable_attempt
from keysat.checkout.tables import Order
from keysat.infra.work import Read


# Contract 3.15
class Change(msgspec.Struct, frozen=True):
    """Where nothing is to be paid, `invoice_id` and `checkout_url` are empty, and the amounts 0.

    `effective_at` is null for one that holds at once, or as soon as it is paid.
    """

    ok: bool
    applied: bool
    status: ChangeStatus
    license_id: UUID
    tier_change_id: UUID
    from_policy_slug: str
    to_policy_slug: str
    direction: ChangeDirection
    effective_at: datetime | None
    invoice_id: str
    provider_invoice_id: str
    checkout_url: str
    amount_sats: int
    proration_charge_value: int
    listed_currency: str
    skip_payment: bool


async def read_change(read: Read, change_id: TierChangeId) -> Change:
    """Raises NotFound."""
    change = await read.get(TierChange, change_id)
    is_paid_for = change.order_id is not None and change.charge_value > 0
    order = await read.get(Order, change.order_id) if is_paid_for else None
    attempt = await payable_attempt(read, order.id) if order is not None else None
    return Change(
        ok=True,
        applied=change.status is ChangeStatus.APPLIED,
        status=change.status,
        license_id=change.license_id,
        tier_change_id=change.id,
        from_policy_slug=(await read.get(Policy, change.from_policy_id)).slug,
        to_policy_slug=(await read.get(Policy, change.to_policy_id)).slug,
        direction=change.direction,
        effective_at=change.effective_at,
        invoice_id=order.invoice_id if order is not None else "",
        provider_invoice_id=(attempt.provider_invoice_id or "") if attempt is not None else "",
        checkout_url=(attempt.checkout_url or "") if attempt is not None else "",
        amount_sats=(order.amount_sats or 0) if order is not None else 0,
        proration_charge_value=change.charge_value,
        listed_currency=change.listed_currency,
        skip_payment=order is None,
    )
