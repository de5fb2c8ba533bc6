"""The sweep: lists what a provider has, and finds what lost webhooks and crashes have hidden from us."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from keysat.checkout.collect import mark_due
from keysat.checkout.tables import OrderId
from keysat.infra.events import Actor
from keysat.infra.log import get
from keysat.payments.provider import InvoiceSnapshot, PayState, ProviderError
from keysat.payments.tables import Attempt, ConnectionRow
from keysat.payments.tills import OpenTill
from keysat.upkeep.shop import Shop

MARGIN = timedelta(hours=2)  # an invoice of the last sweep may have moved since
LONGEST = timedelta(hours=48)  # what is older is looked at by the orders' own schedule
COMPARED_AT_ONCE = 100
SWEEPER = Actor("job:sweep")

log = get(__name__)


async def sweep(shop: Shop, now: datetime) -> None:
    """Every connection that sells; one that does not answer is left for the next time."""
    for till in shop.tills.all():
        if till.sells:
            try:
                await _sweep(shop, till, now)
            except ProviderError as error:
                log.warning("sweep.unanswered", connection=str(till.id), reason=f"{type(error).__name__}: {error}")


async def _sweep(shop: Shop, till: OpenTill, now: datetime) -> None:
    async with shop.read() as read:
        row = await read.get(ConnectionRow, till.id)
        since = max(row.swept_at - MARGIN, now - LONGEST) if row.swept_at else now - LONGEST
    shown: list[InvoiceSnapshot] = []
    async for snapshot in till.till.changed_since(since):
        shown.append(snapshot)
        if len(shown) == COMPARED_AT_ONCE:
            await _compare(shop, till, shown, now)
            shown = []
    await _compare(shop, till, shown, now)
    async with shop.store.work(now, SWEEPER) as work:
        await work.session.execute(update(ConnectionRow).where(ConnectionRow.id == till.id).values(swept_at=now))


async def _compare(shop: Shop, till: OpenTill, shown: Sequence[InvoiceSnapshot], now: datetime) -> None:
    """Invoices of others in the same account match no attempt of ours."""
    if not shown:
        return
    by_id = {snapshot.invoice_id: snapshot for snapshot in shown}
    by_echo = {snapshot.attempt_id: snapshot for snapshot in shown if snapshot.attempt_id}
    async with shop.read() as read:
        attempts = await read.session.scalars(
            select(Attempt).where(
                Attempt.connection_id == till.id,
                Attempt.failed.is_(None),
                or_(
                    Attempt.provider_invoice_id.in_(by_id),
                    Attempt.provider_invoice_id.is_(None) & Attempt.echo.in_(by_echo),
                ),
            )
        )
        due = {
            OrderId(attempt.order_id)
            for attempt in attempts
            if attempt.provider_invoice_id is None or _is_news(attempt, by_id[attempt.provider_invoice_id])
        }
    if due:
        log.info("sweep.found", connection=str(till.id), orders=len(due))
        async with shop.store.work(now, SWEEPER) as work:
            await mark_due(work, sorted(due))


def _is_news(attempt: Attempt, shown: InvoiceSnapshot) -> bool:
    if attempt.seen_state is None:
        return shown.state != PayState.PENDING
    return (attempt.seen_state, attempt.seen_status) != (shown.state, shown.raw_status[:64])
