"""Changes of a license's tier, as the operator makes them: given at once, planned for the renewal, or by invoice."""

from typing import Annotated
from uuid import UUID

from litestar import post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from keysat.checkout.change.operator import When, by_operator
from keysat.checkout.change.plan import unplan
from keysat.checkout.change.quote import Wanted
from keysat.checkout.change.read import Change, read_change
from keysat.kit.errors import BadRequest
from keysat.web.api.reasons import Reason
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithVisit, WithWork
from keysat.web.wire import Line, StrictInbound


class TierChange(StrictInbound, frozen=True, kw_only=True):
    """`when`: `at_once` gives it, `at_renewal` plans it for the end of what is paid, `by_invoice` lets the buyer pay.

    `skip_payment` is the published word for the first of them; without either it is by invoice.
    """

    to_policy_slug: Annotated[Line, Meta(examples=["pro"])]
    offer: Line | None = None
    skip_payment: bool | None = None
    when: When | None = None
    reason: Reason | None = None

    def moment(self) -> When:
        """Raises BadRequest when the two words differ."""
        said = None if self.skip_payment is None else When.AT_ONCE if self.skip_payment else When.BY_INVOICE
        if self.when is None:
            return said or When.BY_INVOICE
        if self.skip_payment and self.when is not When.AT_ONCE:
            raise BadRequest(f"skip_payment is {When.AT_ONCE}, and when says {self.when}. Give one of them.")
        return self.when


@post(
    "/licenses/{license_id:uuid}/change-tier",
    operation_id="changeTier",
    status_code=200,
    opt=CREATES,
    responses=refusals(404, 502),
)
async def change_tier(license_id: FromPath[UUID], visit: WithVisit, data: JSONBody[TierChange]) -> Change:
    """To another tier or offer of its product, private and archived ones too. Id, key and seats stay."""
    wanted = Wanted(data.to_policy_slug, data.offer or None)
    reason = (data.reason or "").strip() or None
    change_id = await by_operator(visit.desk, license_id, wanted, data.moment(), reason)
    async with visit.shop.read() as read:
        return await read_change(read, change_id)


@post(
    "/licenses/{license_id:uuid}/cancel-tier-change",
    operation_id="cancelTierChange",
    status_code=200,
    responses=refusals(404, 409),
)
async def cancel_tier_change(license_id: FromPath[UUID], work: WithWork) -> Change:
    """One that is planned: the license keeps its tier."""
    return await read_change(work, (await unplan(work, license_id)).id)


ROUTES = (change_tier, cancel_tier_change)
