"""Subscriptions of the published server, on the calendar of ours. What becomes of each is decided in `judge.py`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import RowMapping, delete, select, update

from keysat.catalog.tables import Policy, Product
from keysat.checkout import subscribed
from keysat.kit.periods import COUNT_MAX, ZONE, Unit
from keysat.licenses.change import set_end
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.lifecycle import held
from keysat.subscriptions.rules import attempt_at
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from keysat.upkeep.imports.again import TERMS, THERE
from keysat.upkeep.imports.fields import Values, alike
from keysat.upkeep.imports.judge import QUIET, RUNS, PaidCycle, Standing, doubled, standing
from keysat.upkeep.imports.move import Move
from keysat.upkeep.imports.source import Row, Senseless

KIND = "subscriptions"
PAID_CYCLES = "subscription_invoices WHERE invoice_id IN (SELECT id FROM invoices WHERE status = 'settled')"
DAY_SECONDS = 24 * 60 * 60
CYCLES_MAX = 100_000
STATES = {*RUNS, "cancelled", "lapsed"}


async def bring_subscriptions(move: Move, licenses: Mapping[UUID, Values]) -> None:
    """`licenses`: those of the file that are here, with the values they have there."""
    rows, session = move.read(KIND, "subscriptions", _subscription), move.work.session
    paid: defaultdict[UUID, list[PaidCycle]] = defaultdict(list)
    for subscription_id, cycle in move.read("paid periods", PAID_CYCLES, _cycle):
        paid[subscription_id].append(cycle)
    in_use = (row for row in licenses.values() if row["status"] is not LicenseStatus.REVOKED)
    holders = {row["id"]: row["buyer"] or str(row["id"]) for row in in_use}
    others = doubled(rows, holders)
    sold = select(Policy, Product).join(Product, Product.id == Policy.product_id)
    tiers = {tier.id: (tier, product) for tier, product in await session.execute(sold)}
    # Of licenses that an earlier import had brought without their subscription:
    decided = await move.decided(*TERMS) - set(await session.scalars(select(Subscription.license_id)))
    made: list[Values] = []
    for row in rows:
        try:
            license, tier = licenses.get(row["license_id"]), tiers.get(row["policy_id"])
            if license is None or tier is None:
                raise Senseless(f"names a {'license' if license is None else 'tier'} that did not come")
            runs = row["was"] in RUNS and row["id"] not in others and row["license_id"] in holders
            if runs and row["license_id"] in decided:
                runs = False
                move.report.differ(KIND, row["id"], "arrived cancelled: its license was given another end or tier here")
            stands = standing(row, paid[row["id"]], license["expires_at"], move.work.now, runs=runs)
            made.append(_arrived(move, row, stands, *tier) | {"customer_id": license["customer_id"]})
        except Senseless as error:
            move.report.leave(KIND, row["id"], str(error))
    written = await move.write(KIND, Subscription, made)
    spent = set(await session.scalars(select(Cycle.order_id)))
    await _begin(move, spent, written.new)
    for values, here in written.known:
        await _again(move, spent, values, here)
    _tell(move, written.new, others)


def _tell(move: Move, new: Sequence[Values], others: set[UUID]) -> None:
    for values in new:
        about = f"Subscription {values['id']}"
        if values["id"] in others:
            move.report.note(f"{about} arrived cancelled: its buyer has an older one of the same tier (D-1).")
        if values["was_free"]:
            move.report.note(f"{about} was to renew for nothing: it renews at the price of its tier.")
    extended = sum(values["stands"].was_extended for values in new)
    if extended:
        move.report.note(
            f"{extended} subscriptions were paid until before {move.work.now + QUIET:%Y-%m-%d}: they hold "
            "until then, so that nobody is billed or locked out in the first seven days."
        )
    cards = sum(values["has_card"] and values["stands"].runs for values in new)
    move.report.not_kept(cards, "saved cards: their holders get a link to pay")


def _arrived(move: Move, row: Values, stands: Standing, tier: Policy, product: Product) -> Values:
    currency, value = row["listed_currency"], row["listed_value"]
    if not value:  # a trial or a code was kept as 0 SAT for ever (D-2): it renews at what its tier costs now
        currency = product.price_currency
        value = product.price_value if tier.price_value is None else tier.price_value
    calendar = {
        "anchor_at": stands.paid_through - timedelta(days=row["period_count"]),
        "anchor_cycle": stands.cycle_number - 1,
        "zone": ZONE,
        "period_count": row["period_count"],
        "period_unit": Unit.DAY,
        "cycle_number": stands.cycle_number,
        "paid_through": stands.paid_through,
        "lead_days": tier.renewal_lead_days,
        "started_at": row["started_at"],
    }
    due = max(attempt_at(Subscription(**calendar)), move.work.now + QUIET)
    return {
        **row,
        **calendar,
        "status": SubscriptionStatus.ACTIVE if stands.runs else SubscriptionStatus.CANCELLED,
        "cancelled_at": None if stands.runs else row["cancelled_at"],
        "listed_currency": currency,
        "listed_value": value,
        "next_attempt_at": due if stands.runs else None,
        "grace_seconds": tier.grace_period_days * DAY_SECONDS,
        "stands": stands,
        "was_free": value != row["listed_value"],
        "worth": row["listed_value"],
    }


async def _begin(move: Move, spent: set[UUID | None], new: Sequence[Values]) -> None:
    """The cycle that each has come to, and its license holds through it."""
    await move.put(Cycle, [_paid_cycle(move, spent, values) for values in new])
    held_on = [
        {
            "id": values["license_id"],
            "is_subscribed": True,
            "expires_at": values["paid_through"],
            "grace_seconds": values["grace_seconds"],
        }
        for values in new
        if values["stands"].runs
    ]
    if held_on:
        await move.work.session.execute(update(License), held_on)


def _paid_cycle(move: Move, spent: set[UUID | None], values: Values) -> Values:
    """`spent`: orders that have paid a cycle."""
    order_id = values["stands"].last_order
    if order_id not in move.here["orders"] or order_id in spent:
        order_id = None
    spent.add(order_id)
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


async def _again(move: Move, spent: set[UUID | None], there: Values, here: RowMapping) -> None:
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
        await _extend(move, spent, there, is_later=is_later)


async def _extend(move: Move, spent: set[UUID | None], there: Values, *, is_later: bool) -> None:
    subscription, license = await held(move.work, there["id"])
    subscription.next_attempt_at = there["next_attempt_at"]
    if not is_later:
        return
    old = await move.work.session.get_one(Cycle, (subscription.id, subscription.cycle_number))
    spent.discard(old.order_id)
    await move.work.session.execute(delete(Cycle).where(Cycle.subscription_id == subscription.id))
    for column in ("anchor_at", "anchor_cycle", "cycle_number", "paid_through"):
        setattr(subscription, column, there[column])
    await move.work.session.flush()
    await move.put(Cycle, [_paid_cycle(move, spent, there)])
    await set_end(move.work, license.id, subscription.paid_through)
    what = "held until seven days from now" if there["stands"].was_extended else "paid further"
    move.report.changed[f"subscriptions {what}"] += 1


def _subscription(move: Move, row: Row) -> Values:
    """`was` is its status there: what becomes of it is decided later."""
    same = "id", "license_id", "policy_id", "listed_currency", "listed_value", "started_at"
    return {
        **alike(row, move.work.now, Subscription, *same),
        "period_count": row.whole("period_days", COUNT_MAX[Unit.DAY], 1),
        "was": row.one_of("status", STATES),
        "cancelled_at": row.moment("cancelled_at") or move.at(row, "updated_at"),
        "has_card": bool(row.words("zaprite_payment_profile_id")),
    }


def _cycle(_move: Move, row: Row) -> tuple[UUID, PaidCycle]:
    ends_at = row.moment("cycle_end_at")
    if ends_at is None:
        raise Senseless("has a cycle_end_at that nobody can read")
    return row.id("subscription_id"), PaidCycle(row.id("invoice_id"), row.whole("cycle_number", CYCLES_MAX, 1), ends_at)
