"""A saved card that pays a renewal, where the till keeps cards: whose it is, and asking it once for each cycle.

That it is asked is written before the provider hears of it, and taken back by nothing. Who is killed in between leaves
that cycle to the pay link: no provider says whether a card was asked for an invoice, only whether it has paid, and none
guards against a second charge (`payment-rails.md`, Zaprite). Asking again could charge the buyer twice.
"""

from dataclasses import dataclass
from uuid import UUID

from keysat.checkout.collect import mark_due
from keysat.checkout.desk import Desk
from keysat.checkout.tables import OrderId
from keysat.infra.log import get
from keysat.payments.provider import OutcomeUnknown, ProviderError
from keysat.payments.tables import Attempt
from keysat.payments.tills import OpenTill
from keysat.subscriptions import openings
from keysat.subscriptions.tables import Subscription

log = get(__name__)


@dataclass(frozen=True, slots=True)
class Payer:
    """Through which till the cycle is paid, and the try that paid the last one."""

    till: OpenTill
    before: Attempt | None

    @property
    def customer_ref(self) -> str | None:
        """Who may have a card at this till."""
        is_same = self.before is not None and self.before.connection_id == self.till.id
        return self.before.customer_ref if self.before is not None and is_same else None


async def charge(desk: Desk, payer: Payer, subscription_id: UUID, attempt: Attempt, invoice_id: str) -> None:
    """Ask the saved card, if there is one, once. Whether it has paid is seen as of any payment: by looking."""
    till, order_id = payer.till, OrderId(attempt.order_id)
    profile_id = None
    if till.id == attempt.connection_id and till.capabilities.saved_profiles:
        profile_id = await _card(desk, payer, subscription_id)
    async with desk.work() as work:
        begins = await openings.begin_charge(work, subscription_id, order_id, has_card=profile_id is not None)
    if not begins or profile_id is None:
        return
    failure: ProviderError | None = None
    try:
        await till.till.charge_saved(invoice_id, profile_id)
    except OutcomeUnknown:  # it may have been charged: nobody tries again
        pass
    except ProviderError as error:
        failure = error
    async with desk.work() as work:
        if failure is not None:
            await openings.charge_failed(work, subscription_id, order_id, type(failure).__name__.lower())
        else:
            await mark_due(work, [order_id])


async def _card(desk: Desk, payer: Payer, subscription_id: UUID) -> str | None:
    """The card that the last cycle was paid with and that was saved then, else the one that was known before."""
    till, before = payer.till, payer.before
    async with desk.read() as read:
        row = await read.get(Subscription, subscription_id)
    known = row.profile_id if row.profile_connection_id == till.id else None
    if before is None or payer.customer_ref is None:
        return known
    try:
        profiles = await till.till.list_profiles(payer.customer_ref)
    except ProviderError as error:
        log.warning("renewal.no_profiles", error, subscription=str(subscription_id))
        return known
    found = next((one.id for one in profiles if one.source_attempt_id == before.echo), None)
    if found is None and known not in {one.id for one in profiles}:
        known = None  # it was taken away at the provider
    if found is not None and found != row.profile_id:
        async with desk.work() as work:
            await openings.keep_profile(work, subscription_id, till.id, found)
    return found or known
