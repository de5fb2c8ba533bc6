"""How a license is told to its operator."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from keysat.catalog.read import names_of
from keysat.checkout.history import orders_of_license
from keysat.checkout.tables import Order as OrderRow
from keysat.checkout.tables import OrderStatus, Purpose
from keysat.customers.accounts import emails
from keysat.infra.work import Read
from keysat.licenses.change import own_values
from keysat.licenses.read import machines_of
from keysat.licenses.tables import License as LicenseRow
from keysat.licenses.tables import LicenseStatus, OwnField
from keysat.subscriptions.read import subscription_of
from keysat.web.wire import Outbound


class License(Outbound, frozen=True, kw_only=True):
    """`max_machines` 0 is unlimited. Expiry is no status: `expires_at` tells, and `grace_seconds` follow it.

    `note` is the operator's own, about this license.
    """

    id: UUID
    product_id: UUID
    product_slug: str = ""
    policy_id: UUID | None
    policy_slug: str | None = None
    policy_name: str | None = None
    order_id: UUID | None
    customer_id: UUID | None
    buyer_email: str | None = None
    status: LicenseStatus
    issued_at: datetime
    expires_at: datetime | None
    grace_seconds: int
    is_subscribed: bool
    is_trial: bool
    max_machines: int
    seats_taken: int
    seats_evict_after_days: int | None
    entitlements: list[str]
    suspended_at: datetime | None
    suspension_reason: str | None
    revoked_at: datetime | None
    revocation_reason: str | None
    note: str | None


class OwnValue(Outbound, frozen=True, kw_only=True):
    """A field that was set by hand: why, when and by which key or session."""

    field: OwnField
    reason: str
    author: str | None
    set_at: datetime


class Seat(Outbound, frozen=True, kw_only=True):
    """`last_seen_at` is exact to six hours."""

    id: UUID
    fingerprint_hash: str
    hostname: str | None
    platform: str | None
    activated_at: datetime
    last_seen_at: datetime


class OrderOf(Outbound, frozen=True, kw_only=True):
    """An order in short: the value in minor units of its currency."""

    id: UUID
    support_reference: str
    purpose: Purpose
    status: OrderStatus
    listed_currency: str
    listed_value: int
    created_at: datetime
    paid_at: datetime | None


class LicenseDetail(License, frozen=True, kw_only=True):
    """With the latest 200 of its orders, and of the machines that have a seat now."""

    subscription_id: UUID | None = None
    own_values: tuple[OwnValue, ...] = ()
    machines: tuple[Seat, ...] = ()
    orders: tuple[OrderOf, ...] = ()


Shape = TypeVar("Shape", bound=License)


async def joined(read: Read, rows: Sequence[LicenseRow]) -> list[License]:
    """With the names of what was sold, and the addresses of who holds it."""
    return await _joined(read, rows, License)


async def detail(read: Read, license_id: UUID) -> LicenseDetail:
    """Raises NotFound."""
    row = await read.get(LicenseRow, license_id)
    [license] = await _joined(read, [row], LicenseDetail)
    subscription = await subscription_of(read, license_id)
    return msgspec.structs.replace(
        license,
        subscription_id=subscription.id if subscription else None,
        own_values=tuple(_told(await own_values(read, license_id), OwnValue)),
        machines=tuple(_told(await machines_of(read, license_id), Seat)),
        orders=in_short(await orders_of_license(read, row)),
    )


def in_short(orders: Iterable[OrderRow]) -> tuple[OrderOf, ...]:
    return tuple(_told(orders, OrderOf))


async def _joined(read: Read, rows: Sequence[LicenseRow], shape: type[Shape]) -> list[Shape]:
    known = await emails(read, (row.customer_id for row in rows))
    products, policies = await names_of(
        read, {row.product_id for row in rows}, {row.policy_id for row in rows if row.policy_id}
    )
    found: list[Shape] = []
    for row in rows:
        policy = policies[row.policy_id] if row.policy_id else None
        found.append(
            msgspec.structs.replace(
                msgspec.convert(row, shape, from_attributes=True),
                product_slug=products[row.product_id].slug,
                policy_slug=policy and policy.slug,
                policy_name=policy and policy.name,
                buyer_email=known.get(row.customer_id),
            )
        )
    return found


Told = TypeVar("Told", bound=Outbound)


def _told(rows: Iterable[object], shape: type[Told]) -> list[Told]:
    return [msgspec.convert(row, shape, from_attributes=True) for row in rows]
