"""Products, tiers and codes of the published server, as they are sold here."""

from collections.abc import Iterator
from typing import Any, cast
from uuid import uuid5

from sqlalchemy import insert, select

from keysat.catalog.codes import normal
from keysat.catalog.policy_values import lifted
from keysat.catalog.tables import (
    Code,
    DiscountCode,
    DiscountDuration,
    DiscountKind,
    DiscountTier,
    Feature,
    Policy,
    Product,
)
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.periods import Unit
from keysat.upkeep.imports import source
from keysat.upkeep.imports.move import Move, Values
from keysat.upkeep.imports.source import listed, mapped, moment

SLUG_MAX = 63
SHOWN: Values = {
    "description": "",
    "marketing_bullets": [],
    "marketing_bullets_position": "above",
    "hidden_entitlements": [],
    "highlighted": False,
}
"""Of a tier whose metadata tells nothing of its page."""
ALL_OFF = 10_000  # basis points


async def bring_catalog(move: Move) -> None:
    await _products(move)
    await move.write("tiers", Policy, _policies(move))
    await _codes(move)


async def _products(move: Move) -> None:
    products = list(move.source.rows(source.Product, "products"))
    for row in products:
        if not 1 <= len(row.slug) <= SLUG_MAX:
            raise BadRequest(f"The slug of the product {row.name!r} has {len(row.slug)} characters: 1 to 63 are kept.")
    added = await move.write("products", Product, (_product(move, row) for row in products))
    features = [feature for row in products if row.id in added for feature in _features(row)]
    if features:
        await move.work.session.execute(insert(Feature), features)


def _product(move: Move, row: source.Product) -> Values:
    return {
        "id": row.id,
        "slug": row.slug,
        "name": row.name[:200],
        "description": row.description,
        "price_currency": row.price_currency,
        "price_value": row.price_sats if row.price_currency == SAT and not row.price_value else row.price_value,
        "active": bool(row.active),
        "merchant_profile_id": None if row.merchant_profile_id in move.default_profiles else row.merchant_profile_id,
        "details": mapped(row.metadata_json),
        "created_at": move.at(row.created_at),
        "updated_at": move.at(row.updated_at),
    }


def _features(row: source.Product) -> Iterator[dict[str, Any]]:
    told: list[Any] = [entry for entry in listed(row.entitlements_catalog_json) if isinstance(entry, dict)]
    entries = {str(entry["slug"]): entry for entry in cast("list[dict[str, Any]]", told) if "slug" in entry}
    for position, (slug, entry) in enumerate(entries.items()):
        yield {
            "id": uuid5(row.id, slug),
            "product_id": row.id,
            "slug": slug,
            "name": str(entry.get("name") or slug)[:200],
            "description": str(entry.get("description") or ""),
            "position": position,
        }


def _policies(move: Move) -> Iterator[Values]:
    tips = 0
    for row in move.source.rows(source.Policy, "policies"):
        tips += bool(row.tip_pct_bps)
        yield _policy(move, row)
    move.report.left_behind(tips, "tips of tiers: nobody is paid out here")


def _policy(move: Move, row: source.Policy) -> Values:
    recurs = bool(row.is_recurring and row.renewal_period_days)
    price = row.price_sats_override
    if price is not None and price < 0:
        move.report.note(f"The tier {row.slug} had a price below nothing: it takes its product's now.")
        price = None
    return {
        "id": row.id,
        "product_id": row.product_id,
        "slug": row.slug,
        "name": row.name[:200],
        "price_value": price,
        "duration_seconds": max(0, row.duration_seconds),
        "grace_seconds": max(0, row.grace_seconds),
        "max_machines": max(0, row.max_machines),
        "is_trial": bool(row.is_trial),
        "trial_days": row.trial_days if recurs else 0,
        "is_recurring": recurs,
        "period_count": row.renewal_period_days if recurs else None,
        "period_unit": Unit.DAY if recurs else None,
        "grace_period_days": row.grace_period_days,
        "tier_rank": row.tier_rank,
        "entitlements": listed(row.entitlements_json),
        **SHOWN,
        **_lifted(move, row),
        "active": bool(row.active),
        "public": bool(row.public),
        "archived_at": moment(row.archived_at),
        "created_at": move.at(row.created_at),
        "updated_at": move.at(row.updated_at),
    }


def _lifted(move: Move, row: source.Policy) -> Values:
    metadata = mapped(row.metadata_json)
    try:
        return lifted(metadata)
    except BadRequest as error:
        move.report.note(f"What is told of the tier {row.slug} on its page could not be read: {error.message}")
        return {"details": metadata}


async def _codes(move: Move) -> None:
    codes = [row for row in move.source.rows(source.Code, "discount_codes") if _can_be_typed(move, row)]
    taken = set(await move.work.session.scalars(select(Code.code)))
    names = {row.id: normal(row.code) for row in codes}
    new = [
        {"code": names[row.id], "kind": "discount", "created_at": move.at(row.created_at)}
        for row in codes
        if names[row.id] not in taken
    ]
    if new:
        await move.work.session.execute(insert(Code), new)
    known = {str(tier): tier for tier in await move.work.session.scalars(select(Policy.id))}
    only = {row.id: _tiers(row) for row in codes}
    lost = {code_id for code_id, tiers in only.items() if tiers and known.keys().isdisjoint(tiers)}
    rows = (_code(move, row, names[row.id], is_lost=row.id in lost) for row in codes)
    added = await move.write("codes", DiscountCode, rows)
    tiers = [
        {"discount_id": code_id, "policy_id": known[tier]}
        for code_id, tiers in only.items()
        if code_id in added
        for tier in known.keys() & tiers
    ]
    if tiers:
        await move.work.session.execute(insert(DiscountTier), tiers)


def _can_be_typed(move: Move, row: source.Code) -> bool:
    try:
        normal(row.code)
    except BadRequest:
        move.report.note(f"The code {row.code!r} was left behind: nobody could type it here.")
        return False
    return True


def _code(move: Move, row: source.Code, name: str, *, is_lost: bool) -> Values:
    is_money = row.kind in (DiscountKind.FIXED, DiscountKind.SET_PRICE)
    active, ends = bool(row.active), moment(row.expires_at)
    if is_money and row.discount_currency != SAT and active:
        active = False
        move.report.note(
            f"The code {name} is switched off: it says {row.discount_currency}, but sats were taken off (D-22). "
            "Here it takes off what it says. Look at its amount, and switch it on."
        )
    if row.expires_at and ends is None:
        active = False
        move.report.note(f"The code {name} is switched off: nobody can read when it ends ({row.expires_at[:40]!r}).")
    if is_lost:
        active = False
        move.report.note(f"The code {name} is switched off: the tiers that it was for are gone.")
    amount = min(row.amount, ALL_OFF) if row.kind is DiscountKind.PERCENT else row.amount
    return {
        "id": row.id,
        "code": name,
        "kind": row.kind,
        "amount": 0 if row.kind is DiscountKind.FREE_LICENSE else amount,
        "currency": row.discount_currency if is_money else None,
        "product_id": row.applies_to_product_id,
        "max_uses": row.max_uses,
        "used_count": 0,  # the uses that come along are counted
        "expires_at": ends,
        "active": active,
        "featured": bool(row.featured),
        "duration": DiscountDuration.ONCE,
        "duration_cycles": None,
        "referrer_label": row.referrer_label,
        "description": row.description,
        "created_at": move.at(row.created_at),
        "updated_at": move.at(row.updated_at),
    }


def _tiers(row: source.Code) -> set[str]:
    """Their ids, which nothing there holds to any tier; none: it is for all."""
    several = {str(tier) for tier in listed(row.applies_to_policy_ids_json)}
    return several or ({str(row.applies_to_policy_id)} if row.applies_to_policy_id else set())
