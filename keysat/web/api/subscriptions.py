"""Ending a subscription, by whoever shows a key of its license (public contract 3.14)."""

from datetime import datetime
from uuid import UUID

from litestar import post
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from keysat.checkout.subscribed import cancel
from keysat.infra.work import Work
from keysat.licenses.refresh import authorized
from keysat.licenses.ring import present
from keysat.subscriptions.read import the_subscription_of
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.wire import Inbound, KeyText, Outbound, Paragraph


class CancelRequest(Inbound, frozen=True, kw_only=True):
    """Now, or with `at_period_end` when what is paid is over; until then it can be taken back."""

    license_key: KeyText
    reason: Paragraph | None = None
    at_period_end: bool | None = None


class Cancelled(Outbound, frozen=True, kw_only=True):
    """`already` stands in the place of `status` where it was over before; `ends_at` where it goes on until then."""

    ok: bool = True
    subscription_id: UUID
    status: SubscriptionStatus | UnsetType = UNSET
    already: SubscriptionStatus | UnsetType = UNSET
    ends_at: datetime | UnsetType = UNSET


@post("/v1/subscriptions/cancel", status_code=200, operation_id="cancelSubscription", responses=refusals(401, 404))
async def cancel_subscription(data: JSONBody[CancelRequest], shop: WithShop, visit: WithVisit) -> Cancelled:
    """No further renewal. The license keeps its end; its key is the credential, also after it has expired."""
    presented = await present(shop.ring, data.license_key, visit.now)
    async with shop.read() as read:
        license = await authorized(read, presented)
        subscription = await the_subscription_of(read, license.id)
    async with visit.work() as work:
        return await cancelled(work, subscription.id, data.reason, at_period_end=bool(data.at_period_end))


async def cancelled(work: Work, subscription_id: UUID, reason: str | None, *, at_period_end: bool) -> Cancelled:
    """Raises NotFound."""
    words = (reason or "").strip() or None
    already = await cancel(work, subscription_id, reason=words, at_period_end=at_period_end)
    if already is not None:
        return Cancelled(subscription_id=subscription_id, already=already)
    row = await work.get(Subscription, subscription_id)
    ends_at = row.paid_through if row.cancel_at_period_end else UNSET
    return Cancelled(subscription_id=row.id, status=row.status, ends_at=ends_at)


ROUTES = (cancel_subscription,)
