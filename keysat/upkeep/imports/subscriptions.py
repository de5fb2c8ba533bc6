"""Subscriptions of the published server, on the calendar of ours. What becomes of each is decided in `judge.py`."""

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from keysat.catalog.tables import Policy
from keysat.checkout.tables import Order
from keysat.kit.periods import ZONE, Unit
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.rules import attempt_at
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionId, SubscriptionStatus
from keysat.upkeep.imports import source
from keysat.upkeep.imports.judge import QUIET, RUNS, Standing, doubled, standing
from keysat.upkeep.imports.move import Move
from keysat.upkeep.imports.source import CYCLES, moment

DAY_SECONDS = 24 * 60 * 60


async def bring_subscriptions(move: Move) -> None:
    rows = list(move.source.rows(source.Subscription, "subscriptions"))
    cycles: defaultdict[UUID, list[source.Cycle]] = defaultdict(list)
    for cycle in move.source.select(source.Cycle, "subscription_invoices", CYCLES):
        cycles[cycle.subscription_id].append(cycle)
    buyers = {
        row.id: (row.buyer_email or str(row.id)).strip().lower()
        for row in move.source.rows(source.License, "licenses")
        if row.status != LicenseStatus.REVOKED
    }
    others = doubled(rows, buyers)
    known = set(await move.work.session.scalars(select(Subscription.id)))
    counts = {"extended": 0, "cards": 0}
    for row in rows:
        if row.id in known:
            move.report.there["subscriptions"] += 1
            continue
        license = await move.work.get(License, row.license_id)
        runs = row.status in RUNS and row.id not in others and license.status != LicenseStatus.REVOKED
        stands = standing(row, cycles[row.id], license.expires_at, move.work.now, runs=runs)
        await _bring(move, row, license, stands)
        move.report.brought["subscriptions"] += 1
        counts["extended"] += stands.was_extended
        counts["cards"] += bool(row.zaprite_payment_profile_id and runs)
        if row.id in others:
            move.report.note(
                f"Subscription {row.id} arrived cancelled: its buyer has an older one of the same tier (D-1)."
            )
    if counts["extended"]:
        move.report.note(
            f"{counts['extended']} subscriptions were paid until before {move.work.now + QUIET:%Y-%m-%d}: they hold "
            "until then, so that nobody is billed or locked out in the first seven days."
        )
    move.report.left_behind(counts["cards"], "saved cards: their holders get a link to pay")


async def _bring(move: Move, row: source.Subscription, license: License, stands: Standing) -> None:
    policy = await move.work.get(Policy, row.policy_id)
    currency, value = _price(move, policy, row)
    subscription = Subscription(
        id=SubscriptionId(row.id),
        license_id=license.id,
        customer_id=license.customer_id,
        policy_id=row.policy_id,
        status=SubscriptionStatus.ACTIVE if stands.runs else SubscriptionStatus.CANCELLED,
        anchor_at=stands.paid_through - timedelta(days=row.period_days),
        anchor_cycle=stands.cycle_number - 1,
        zone=ZONE,
        period_count=row.period_days,
        period_unit=Unit.DAY,
        cycle_number=stands.cycle_number,
        paid_through=stands.paid_through,
        lead_days=policy.renewal_lead_days,
        listed_currency=currency,
        listed_value=value,
        started_at=move.at(row.started_at),
        cancelled_at=None if stands.runs else moment(row.cancelled_at) or move.at(row.updated_at),
    )
    if stands.runs:
        subscription.next_attempt_at = max(attempt_at(subscription), move.work.now + QUIET)
    move.work.session.add(subscription)
    await move.work.session.flush()
    paid_by = await move.work.session.get(Order, stands.last_order) if stands.last_order else None
    move.work.session.add(
        Cycle(
            subscription_id=subscription.id,
            number=stands.cycle_number,
            starts_at=subscription.anchor_at,
            ends_at=stands.paid_through,
            order_id=paid_by.id if paid_by else None,
            listed_currency=currency,
            listed_value=value,
            worth=row.listed_value,
            paid=row.listed_value,
            created_at=subscription.started_at,
            paid_at=subscription.anchor_at,
        )
    )
    if stands.runs:
        license.is_subscribed = True
        license.expires_at = stands.paid_through
        license.grace_seconds = policy.grace_period_days * DAY_SECONDS
    await move.work.session.flush()


def _price(move: Move, policy: Policy, row: source.Subscription) -> tuple[str, int]:
    """Currency and amount. A trial or a code was kept as 0 SAT for ever (D-2): it renews at what its tier costs now."""
    if row.listed_value:
        return row.listed_currency, row.listed_value
    product = next(one for one in move.source.rows(source.Product, "products") if one.id == policy.product_id)
    price = policy.price_value if policy.price_value is not None else product.price_value or product.price_sats
    if price:
        move.report.note(f"Subscription {row.id} was to renew for nothing: it renews at the price of its tier.")
    return product.price_currency, price
