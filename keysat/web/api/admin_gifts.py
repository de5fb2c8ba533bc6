"""Licenses that their operator gives: one, or many at once. Each goes the road of a sale, as an order of price 0."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from keysat.checkout.operate import Gift, gift, give, give_many
from keysat.checkout.tables import Order
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest
from keysat.licenses import issue
from keysat.licenses.ring import Ring
from keysat.licenses.tables import License as LicenseRow
from keysat.web.api.admin_licenses import End, own_values_of
from keysat.web.api.reasons import Reason, reason_of
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithWork
from keysat.web.wire import Count, Line, Outbound, Paragraph, StrictInbound

BULK_MOST = 500


class Own(StrictInbound, frozen=True, kw_only=True):
    """A product that has tiers is given by one of them; private and archived ones may be given too.

    The last five are the license's own, in the place of the tier's, for the `reason`. `note` stays with the license.
    """

    product_slug: Annotated[Line, Meta(examples=["aurora"])]
    policy_slug: Annotated[Line, Meta(examples=["pro"])] | None = None
    note: Annotated[Paragraph, Meta(examples=["For the review in the magazine."])] | None = None
    reason: Reason | None = None
    expires_at: End | UnsetType = UNSET
    grace_seconds: Count | UnsetType = UNSET
    max_machines: Count | UnsetType = UNSET
    seats_evict_after_days: Annotated[int, Meta(ge=0, le=36_500)] | UnsetType = UNSET
    entitlements: list[Line] | UnsetType = UNSET


class Given(Own, frozen=True, kw_only=True):
    __doc__ = Own.__doc__

    buyer_email: Annotated[Line, Meta(examples=["ann@example.org"])] | None = None


class GivenToMany(Own, frozen=True, kw_only=True):
    """The same license to each of these addresses, or so many to nobody who is known. Else as `issueLicense`."""

    buyer_emails: Annotated[list[Line], Meta(min_length=1, max_length=BULK_MOST)] | None = None
    count: Annotated[int, Meta(ge=1, le=BULK_MOST)] | None = None

    @property
    def emails(self) -> list[str | None]:
        """Raises BadRequest unless one of the two is there."""
        if (self.buyer_emails is None) == (self.count is None):
            raise BadRequest("Say either buyer_emails or count.")
        return [*self.buyer_emails] if self.buyer_emails is not None else [None] * (self.count or 0)


class Issued(Outbound, frozen=True, kw_only=True):
    license_id: UUID
    product_id: UUID
    policy_id: UUID | None
    order_id: UUID
    license_key: str
    issued_at: datetime
    expires_at: datetime | None
    entitlements: list[str]
    is_trial: bool
    max_machines: int


class IssuedToMany(Outbound, frozen=True, kw_only=True):
    """In the order of the addresses."""

    licenses: list[Issued]


@post("/licenses", operation_id="issueLicense", status_code=200, opt=CREATES, responses=refusals(404, 503))
async def issue_license(work: WithWork, shop: WithShop, data: JSONBody[Given]) -> Issued:
    """Give a license away. It goes the road of a sale, as an order of price 0."""
    order = await give(work, await _gift(work, data, data.buyer_email))
    return await _issued(work, order, shop.ring)


@post("/licenses/bulk", operation_id="issueLicenses", status_code=200, opt=CREATES, responses=refusals(404, 503))
async def issue_licenses(work: WithWork, shop: WithShop, data: JSONBody[GivenToMany]) -> IssuedToMany:
    """Give up to 500 away at once: all of them, or none."""
    orders = await give_many(work, await _gift(work, data, None), data.emails)
    return IssuedToMany(licenses=[await _issued(work, order, shop.ring) for order in orders])


async def _gift(work: Work, data: Own, email: str | None) -> Gift:
    own, _ = own_values_of(data)
    words = reason_of(data.reason or data.note)
    return await gift(work, data.product_slug, data.policy_slug, email, data.note, own=own, reason=words)


async def _issued(read: Read, order: Order, ring: Ring) -> Issued:
    made = await read.get(LicenseRow, order.license_id)
    return Issued(
        license_id=made.id,
        product_id=made.product_id,
        policy_id=made.policy_id,
        order_id=order.id,
        license_key=await issue.key_text(read, made, ring),
        issued_at=made.issued_at,
        expires_at=made.expires_at,
        entitlements=list(made.entitlements),
        is_trial=made.is_trial,
        max_machines=made.max_machines,
    )


ROUTES = (issue_license, issue_licenses)
