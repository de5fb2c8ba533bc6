"""Subscriptions of the published server, on the calendar of ours. What becomes of each is decided in `judge.py`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import RowMapping, delete, select, update

from keysat.catalog.tables import Policy, Product
from keysat.checkout import subscribed
from keysat.kit.money import MAX_MINOR
from keysat.kit.periods import COUNT_MAX, ZONE, Unit
from keysat.licenses.change import set_end
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.lifecycle import held
from keysat.subscriptions.rules import attempt_at
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from keysat.upkeep.imports.again import TERMS, THERE
from keysat.upkeep.imports.judge import QUIET, RUNS, PaidCycle, Standing, Subscribed, doubled, standing
from keysat.upkeep.imports.move import Move, Values
from keysat.upkeep.imports.source import Row, Senseless

KIND = "subscriptions"
PAID_CYCLES = "subscription_invoices WHERE invoice_id IN (SELECT id FROM invoices WHERE status = 'settled')"
DAY_SECONDS = 24 * 60 * 60
CYCLES_MAX = 100_000
STATES = {*RUNS, "cancelled", "lapsed"}


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is sold here: tiers by id, and currency and price of products by id."""

    tiers: Mapping[UUID, Policy]
    prices: Mapping[UUID, tuple[str, int]]
    spent: set[UUID | None] = field(default_factory=set[UUID | None])
    """Orders that have paid a cycle."""


async def bring_subscriptions(move: Move, licenses: Mapping[UUID, Values]) -> None:
    """`licenses`: those of the file that are here, with the values they have there."""
    rows = move.read(KIND, "subscriptions", _subscribed)
    paid: defaultdict[UUID, list[PaidCycle]] = defaultdict(list)
    for subscription_id, cycle in move.read("paid periods", PAID_CYCLES, _cycle):
        paid[subscription_id].append(cycle)
    in_use = (row for row in licenses.values() if row["status"] is not LicenseStatus.REVOKED)
    holders = {row["id"]: row["buyer"] or str(row["id"]) for row in in_use}
    others = doubled(rows, holders)
    shelf = await _shelf(move)
    # Of licenses that an earlier import had brought without their subscription:
    decided = await move.decided(*TERMS) - set(await move.work.session.scalars(select(Subscription.license_id)))
    made: list[Values] = []
    for row in rows:
        try:
            license, tier = licenses.get(row.license_id), shelf.tiers.get(row.policy_id)
            if license is None or tier is None:
                raise Senseless(f"names a {'license' if license is None else 'tier'} that did not come")
            runs = row.status in RUNS and row.id not in others and row.license_id in holders
            if runs and row.license_id in decided:
                runs = False
                move.report.differ(KIND, row.id, "arrived cancelled: its license was given another end or tier here")
            stands = standing(row, paid[row.id], license["expires_at"], move.work.now, runs=runs)
            made.append(_values(move, shelf, row, stands, license["customer_id"], tier))
        except Senseless as error:
            move.report.leave(KIND, row.id, str(error))
    written = await move.write(KIND, Subscription, made)
    await _begin(move, shelf, written.new)
    for values, here in written.known:
        await _again(move, shelf, values, here)
    _tell(move, written.new, others)


def _tell(move: Move, new: Sequence[Values], others: set[UUID]) -> None:
    for values in new:
        if values["id"] in others:
            words = "arrived cancelled: its buyer has an older one of the same tier (D-1)."
            move.report.note(f"Subscription {values['id']} {words}")
        if values["was_free"]:
            words = "was to renew for nothing: it renews at the price of its tier."
            move.report.note(f"Subscription {values['id']} {words}")
    extended = sum(values["stands"].was_extended for values in new)
    if extended:
        move.report.note(
            f"{extended} subscriptions were paid until before {move.work.now + QUIET:%Y-%m-%d}: they hold "
            "until then, so that nobody is billed or locked out in the first seven days."
        )
    cards = sum(values["has_card"] and values["stands"].runs for values in new)
    move.report.not_kept(cards, "saved cards: their holders get a link to pay")


async def _shelf(move: Move) -> Shelf:
    session = move.work.session
    prices = await session.execute(select(Product.id, Product.price_currency, Product.price_value))
    return Shelf(
        tiers={tier.id: tier for tier in await session.scalars(select(Policy))},
        prices={product_id: (currency, value) for product_id, currency, value in prices},
        spent=set(await session.scalars(select(Cycle.order_id))),
    )


def _values(
    move: Move, shelf: Shelf, row: Subscribed, stands: Standing, customer_id: UUID | None, tier: Policy
) -> Values:
    currency, value, was_free = row.listed_currency, row.listed_value, False
    if not value:  # a trial or a code was kept as 0 SAT for ever (D-2): it renews at what its tier costs now
        currency, value = shelf.prices[tier.product_id]
        value = tier.price_value if tier.price_value is not None else value
        was_free = bool(value)
    values = {
        "id": row.id,
        "license_id": row.license_id,
        "customer_id": customer_id,
        "policy_id": row.policy_id,
        "status": SubscriptionStatus.ACTIVE if stands.runs else SubscriptionStatus.CANCELLED,
        "anchor_at": stands.paid_through - timedelta(days=row.period_days),
        "anchor_cycle": stands.cycle_number - 1,
        "zone": ZONE,
        "period_count": row.period_days,
        "period_unit": Unit.DAY,
        "cycle_number": stands.cycle_number,
        "paid_through": stands.paid_through,
        "lead_days": tier.renewal_lead_days,
        "listed_currency": currency,
        "listed_value": value,
        "started_at": row.started_at,
        "cancelled_at": None if stands.runs else row.cancelled_at,
    }
    due = max(attempt_at(Subscription(**values)), move.work.now + QUIET) if stands.runs else None
    told = {"stands": stands, "was_free": was_free, "has_card": row.has_card, "worth": row.listed_value}
    return {**values, **told, "next_attempt_at": due, "grace_seconds": tier.grace_period_days * DAY_SECONDS}


async def _begin(move: Move, shelf: Shelf, new: Sequence[Values]) -> None:
    """The cycle that each has come to, and its license holds through it."""
    await move.put(Cycle, [_paid_cycle(move, shelf, values) for values in new])
    subscribed_now = [
        {
            "id": values["license_id"],
            "is_subscribed": True,
            "expires_at": values["paid_through"],
            "grace_seconds": values["grace_seconds"],
        }
        for values in new
        if values["stands"].runs
    ]
    if subscribed_now:
        await move.work.session.execute(update(License), subscribed_now)


def _paid_cycle(move: Move, shelf: Shelf, values: Values) -> Values:
    order_id = values["stands"].last_order
    if order_id not in move.here["orders"] or order_id in shelf.spent:
        order_id = None
    shelf.spent.add(order_id)
    return {
        "subscription_id": values["id"],
        "number": values["cycle_number"],
        "starts_at": values["anchor_at"],
        "ends_at": values["paid_through"],
        "order_id": order_id,
        "listed_currency": values["listed_currency"],
        "listed_value": values["listed_value"],
        "worth": values["worth"],
        "paid": values["worth"],
        "created_at": values["started_at"],
        "paid_at": values["anchor_at"],
    }


async def _again(move: Move, shelf: Shelf, there: Values, here: RowMapping) -> None:
    """What nobody has billed or changed here arrives once more, as it is there by now; never earlier than it was."""
    stands: Standing = there["stands"]
    if here["status"] is SubscriptionStatus.CANCELLED:
        if stands.runs:
            move.report.differ(KIND, here["id"], "runs there, and is cancelled here")
        return
    is_later = stands.paid_through > here["paid_through"]
    is_quiet = here["next_attempt_at"] is None or here["next_attempt_at"] >= move.work.now + QUIET
    if stands.runs and not is_later and is_quiet:
        return
    if await move.was_decided(here["id"]):
        if not stands.runs:
            move.report.differ(KIND, here["id"], "has ended there, and was billed or changed here")
        elif is_later and not stands.was_extended:
            move.report.differ(KIND, here["id"], "was paid further there, and was billed or changed here")
    elif not stands.runs:
        await subscribed.cancel(move.work, here["id"], reason=THERE)
        move.report.changed["subscriptions cancelled"] += 1
    else:
        await _extend(move, shelf, there, is_later=is_later)


async def _extend(move: Move, shelf: Shelf, there: Values, *, is_later: bool) -> None:
    subscription, license = await held(move.work, there["id"])
    subscription.next_attempt_at = there["next_attempt_at"]
    if not is_later:
        return
    old = await move.work.session.get_one(Cycle, (subscription.id, subscription.cycle_number))
    shelf.spent.discard(old.order_id)
    await move.work.session.execute(delete(Cycle).where(Cycle.subscription_id == subscription.id))
    for column in ("anchor_at", "anchor_cycle", "cycle_number", "paid_through"):
        setattr(subscription, column, there[column])
    await move.work.session.flush()
    await move.put(Cycle, [_paid_cycle(move, shelf, there)])
    await set_end(move.work, license.id, subscription.paid_through)
    what = "held until seven days from now" if there["stands"].was_extended else "paid further"
    move.report.changed[f"subscriptions {what}"] += 1


def _subscribed(move: Move, row: Row) -> Subscribed:
    return Subscribed(
        id=row.id(),
        license_id=row.id("license_id"),
        policy_id=row.id("policy_id"),
        period_days=row.whole("period_days", COUNT_MAX[Unit.DAY], 1),
        listed_currency=row.currency("listed_currency"),
        listed_value=row.whole("listed_value", MAX_MINOR),
        status=row.one_of("status", STATES),
        started_at=move.at(row, "started_at"),
        cancelled_at=row.moment("cancelled_at") or move.at(row, "updated_at"),
        has_card=bool(row.words("zaprite_payment_profile_id")),
    )


def _cycle(_move: Move, row: Row) -> tuple[UUID, PaidCycle]:
    ends_at = row.moment("cycle_end_at")
    if ends_at is None:
        raise Senseless("has a cycle_end_at that nobody can read")
    return row.id("subscription_id"), PaidCycle(row.id("invoice_id"), row.whole("cycle_number", CYCLES_MAX, 1), ends_at)
