"""Products, tiers and codes of the published server, as they are sold here."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast
from uuid import UUID, uuid5

from sqlalchemy import select

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
from keysat.kit.licensekey import check_entitlements
from keysat.kit.money import MAX_MINOR
from keysat.kit.periods import COUNT_MAX, Unit
from keysat.upkeep.imports.fields import Values, alike
from keysat.upkeep.imports.move import Move
from keysat.upkeep.imports.source import NAME_MAX, Row, Senseless

ALL_OFF = 10_000  # basis points
MONEY = (DiscountKind.FIXED, DiscountKind.SET_PRICE)
MOST = {DiscountKind.PERCENT: ALL_OFF, DiscountKind.FREE_LICENSE: 0}


async def bring_catalog(move: Move) -> None:
    await _products(move)
    await _tiers(move)
    await _codes(move)


async def _products(move: Move) -> None:
    compared = Product.name, Product.price_currency, Product.price_value, Product.active
    written = await move.write("products", Product, move.read("products", "products", _product), *compared)
    of_new = [feature for product in written.new for feature in product["catalog"]]
    await move.write("entitlements of products", Feature, of_new)


def _product(move: Move, row: Row) -> Values:
    same = "id", "slug", "name", "description", "price_currency", "price_value", "active", "created_at", "updated_at"
    product = alike(row, move.work.now, Product, *same, "merchant_profile_id")
    if not product["slug"]:
        raise Senseless("has no slug")
    if product["price_currency"] == SAT and not product["price_value"]:
        product["price_value"] = row.whole("price_sats", MAX_MINOR)
    if product["merchant_profile_id"] in move.default_profiles | move.gone:
        product["merchant_profile_id"] = None
    return product | {"details": row.mapped("metadata_json"), "catalog": list(_features(row))}


def _features(row: Row) -> Iterator[Values]:
    told: list[Any] = [entry for entry in row.listed("entitlements_catalog_json") if isinstance(entry, dict)]
    entries = {str(entry["slug"]): entry for entry in cast("list[dict[str, Any]]", told) if "slug" in entry}
    for position, (slug, entry) in enumerate(entries.items()):
        yield {
            "id": uuid5(row.id(), slug),
            "product_id": row.id(),
            "slug": slug,
            "name": str(entry.get("name") or slug)[:200],
            "description": str(entry.get("description") or ""),
            "position": position,
        }


async def _tiers(move: Move) -> None:
    shown = Policy.name, Policy.active, Policy.public
    terms = Policy.price_value, Policy.duration_seconds, Policy.max_machines, Policy.period_count, Policy.entitlements
    await move.write("tiers", Policy, move.read("tiers", "policies", _tier), *shown, *terms)


def _tier(move: Move, row: Row) -> Values:
    same = "id", "product_id", "slug", "name", "is_trial", "active", "public", "archived_at", "created_at", "updated_at"
    terms = "duration_seconds", "grace_seconds", "max_machines", "grace_period_days", "tier_rank"
    tier = alike(row, move.work.now, Policy, *same, *terms)
    days = row.whole_or_none("renewal_period_days", COUNT_MAX[Unit.DAY])
    recurs = row.flag("is_recurring") and bool(days)
    price = row.whole_or_none("price_sats_override", MAX_MINOR, -MAX_MINOR)
    if price is not None and price < 0:
        move.report.note(f"The tier {row.name} had a price below nothing: it takes its product's now.")
        price = None
    return tier | {
        "name": tier["name"].strip() or tier["slug"],
        "price_value": price,
        "trial_days": row.whole("trial_days", COUNT_MAX[Unit.DAY]) if recurs else 0,
        "is_recurring": recurs,
        "period_count": days if recurs else None,
        "period_unit": Unit.DAY if recurs else None,
        "entitlements": _granted(move, row),
        **_lifted(move, row),
    }


def _granted(move: Move, row: Row) -> list[str]:
    """Without what no key can hold: it would be paid for, and no license could be made."""
    named = row.listed("entitlements_json")
    kept: list[str] = []
    for slug in named:
        with suppress(BadRequest):
            check_entitlements([*kept, slug if isinstance(slug, str) else ""])
            kept.append(slug)
    if len(kept) < len(named):
        why = "names entitlements that no key can hold: it is sold without them."
        move.report.note(f"The tier {row.name} {why}")
    return kept


def _lifted(move: Move, row: Row) -> Values:
    metadata = row.mapped("metadata_json")
    try:
        return lifted(metadata)
    except BadRequest as error:
        move.report.note(f"What is told of the tier {row.name} on its page could not be read: {error.message}")
        return {"details": metadata}


async def _codes(move: Move) -> None:
    made = move.read("codes", "discount_codes", _code)
    known = select(Code.code, DiscountCode.id).outerjoin(DiscountCode, DiscountCode.code == Code.code)
    owners: dict[str, UUID | None] = {row.code: row.id for row in await move.work.session.execute(known)}
    here, kept = set(owners.values()), list[Values]()
    for values in move.fitting("codes", DiscountCode, made):
        if owners.setdefault(values["code"], values["id"]) == values["id"]:
            kept.append(values)
        else:
            move.report.leave("codes", values["code"], "is typed as another that is here")
    new = [
        {"code": values["code"], "kind": "discount", "created_at": values["created_at"]}
        for values in kept
        if values["id"] not in here
    ]
    await move.put(Code, new)
    terms = DiscountCode.amount, DiscountCode.max_uses, DiscountCode.expires_at
    written = await move.write("codes", DiscountCode, kept, *terms)
    only = [{"discount_id": code["id"], "policy_id": tier} for code in written.new for tier in code["tiers"]]
    await move.put(DiscountTier, only)


def _code(move: Move, row: Row) -> Values:
    same = "id", "kind", "amount", "max_uses", "expires_at", "active", "featured", "created_at", "updated_at"
    told = "referrer_label", "description"
    code = alike(row, move.work.now, DiscountCode, *same, *told, product_id="applies_to_product_id")
    currency, name = row.currency("discount_currency") if code["kind"] in MONEY else None, _typed(row)
    off: list[str] = []
    if currency not in (None, SAT):
        off.append(
            f"it says {currency}, but sats were taken off (D-22). Here it takes off what it says. Look at its amount, "
            "and switch it on."
        )
    if row.words("expires_at") and code["expires_at"] is None:
        off.append(f"nobody can read when it ends ({row.text('expires_at')[:NAME_MAX]!r}).")
    wanted = _only_for(row)
    tiers = {tier for tier in move.here["policies"] if str(tier) in wanted}
    if wanted and not tiers:
        off.append("the tiers that it was for are gone.")
    for why in off if code["active"] else ():
        move.report.note(f"The code {name} is switched off: {why}")
    return code | {
        "code": name,
        "amount": min(code["amount"], MOST.get(code["kind"], MAX_MINOR)),
        "currency": currency,
        "active": code["active"] and not off,
        "duration": DiscountDuration.ONCE,
        "tiers": tiers,
    }


def _typed(row: Row) -> str:
    try:
        return normal(row.text("code"))
    except BadRequest:
        raise Senseless("is a code that nobody could type here") from None


def _only_for(row: Row) -> set[str]:
    """Their ids, which nothing there holds to any tier; none: it is for all."""
    one = row.id_or_none("applies_to_policy_id")
    return {str(tier) for tier in row.listed("applies_to_policy_ids_json")} or ({str(one)} if one else set())
