"""Verbs on discount codes. Each returns the code as it is afterwards.

A code, its kind, its currency and its product stay what they were: another one of these is another code.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import delete, func, select

from keysat.catalog import checks, codes
from keysat.catalog.discount_read import DISCOUNT, discount
from keysat.catalog.happenings import CodeCreated, CodeDeleted, CodeUpdated
from keysat.catalog.pricing import BASIS_POINTS
from keysat.catalog.rows import locked_product
from keysat.catalog.tables import (
    DiscountCode,
    DiscountDuration,
    DiscountId,
    DiscountKind,
    DiscountTier,
    Policy,
    PolicyId,
    ProductId,
)
from keysat.catalog.views import DiscountView
from keysat.infra.edition import Cap
from keysat.infra.work import Work, flushed
from keysat.kit.currencies import SAT, is_known
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import MAX_MINOR, MAX_SATS

USES_MAX = 2**31 - 1
CYCLES_MAX = 1200
LABEL_MAX = 200
DESCRIPTION_MAX = 2000

Instant = Annotated[datetime, Meta(tz=True)]
_OF_MONEY = (DiscountKind.FIXED, DiscountKind.SET_PRICE)
_OTHER_WORDS = {"fixed": DiscountKind.FIXED}


class DiscountFields(checks.Input, frozen=True, kw_only=True):
    """What can be edited: an absent field stays, null clears.

    `policy_slugs` are tiers of the code's product; none of them is all of them. `duration` says for which cycles of a
    subscription it holds: once, cycles (with `duration_cycles`, the purchase included) or forever.
    """

    max_uses: int | UnsetType | None = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    policy_slugs: list[str] | UnsetType | None = UNSET
    referrer_label: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    featured: bool | UnsetType = UNSET
    duration: DiscountDuration | UnsetType = UNSET
    duration_cycles: int | UnsetType | None = UNSET


class NewDiscount(DiscountFields, frozen=True, kw_only=True):
    """`kind` is percent, fixed_sats (or fixed), set_price or free_license.

    `amount` is basis points for percent, else minor units of `discount_currency`, which is SAT unless it is given. A
    free license alone has none.
    """

    code: str
    kind: str
    amount: int | UnsetType = UNSET
    discount_currency: str | None = None
    product_slug: str | None = None
    policy_slug: str | None = None


class DiscountEdit(DiscountFields, frozen=True, kw_only=True):
    amount: int | UnsetType = UNSET


_ACTIVE = select(func.count()).where(DiscountCode.active)


async def create(work: Work, request: NewDiscount) -> DiscountView:
    """Raises BadRequest; NotFound for product and tiers; Conflict when the code is taken, by whatever kind; TierCap."""
    await work.within(Cap.CODES, _ACTIVE)
    kind = _kind(request.kind)
    row = DiscountCode(id=DiscountId(work.new_id()), kind=kind, used_count=0, active=True, featured=False)
    row.duration, row.description = DiscountDuration.ONCE, ""
    row.currency = _currency(kind, request.discount_currency)
    row.amount = _amount(kind, request.amount)
    row.created_at = row.updated_at = work.now
    _check_amount(kind, row.amount, row.currency)
    await _give_product(work, row, request.product_slug)
    _write(row, request, work.now)
    row.code = await codes.claim(work, request.code, DISCOUNT)
    async with flushed(work, f"The code {row.code} exists already. Choose another one."):
        work.session.add(row)
    slugs = request.policy_slugs or ([request.policy_slug] if request.policy_slug else [])
    await _write_tiers(work, row, slugs)
    work.record(
        CodeCreated(
            code_id=row.id,
            code=row.code,
            kind=row.kind,
            amount=row.amount,
            currency=row.currency,
            product_id=row.product_id,
        )
    )
    return await discount(work, row.id)


async def edit(work: Work, discount_id: UUID, request: DiscountEdit) -> DiscountView:
    """Holds for who begins to use it from now on: an open order keeps its price. Raises NotFound, BadRequest."""
    row = await work.hold(DiscountCode, discount_id)
    changed = _write(row, request, work.now)
    if request.amount is not UNSET and request.amount != row.amount:
        _check_amount(row.kind, request.amount, row.currency)
        row.amount = request.amount
        changed.append("amount")
    if request.policy_slugs is not UNSET and await _write_tiers(work, row, request.policy_slugs or []):
        changed.append("policy_slugs")
    return await _told(work, row, changed)


async def set_active(work: Work, discount_id: UUID, active: bool) -> DiscountView:
    """A code that is not active cannot be used any more; orders that use it go on. Raises NotFound, TierCap."""
    row = await work.hold(DiscountCode, discount_id)
    if active and not row.active:
        await work.within(Cap.CODES, _ACTIVE)
    changed = ["active"] if row.active != active else []
    row.active = active
    return await _told(work, row, changed)


async def delete_discount(work: Work, discount_id: UUID) -> None:
    """Raises NotFound; Conflict when it was ever used, also by an order that came to nothing."""
    row = await work.hold(DiscountCode, discount_id)
    async with flushed(work, f"The code {row.code} was used. Disable it instead."):
        await work.session.execute(delete(DiscountTier).where(DiscountTier.discount_id == row.id))
        await work.session.execute(delete(DiscountCode).where(DiscountCode.id == row.id))
        await codes.release(work, row.code)
    work.record(CodeDeleted(row.id, row.code))


async def forget_policy(work: Work, policy_id: UUID) -> int:
    """The tier goes: a code that holds for it alone goes with it, since without tiers it would hold for all.

    Returns how many codes are gone. Raises Conflict for one that was used.
    """
    named = select(DiscountTier.discount_id).where(DiscountTier.policy_id == policy_id)
    other = DiscountCode.tiers.any(DiscountTier.policy_id != policy_id)
    lonely = (await work.session.scalars(select(DiscountCode.id).where(DiscountCode.id.in_(named), ~other))).all()
    for discount_id in lonely:
        await delete_discount(work, discount_id)
    await work.session.execute(delete(DiscountTier).where(DiscountTier.policy_id == policy_id))
    return len(lonely)


async def forget_product(work: Work, product_id: UUID) -> int:
    """The product goes, and its codes with it. Returns how many. Raises Conflict for one that was used."""
    theirs = (await work.session.scalars(select(DiscountCode.id).where(DiscountCode.product_id == product_id))).all()
    for discount_id in theirs:
        await delete_discount(work, discount_id)
    return len(theirs)


async def _told(work: Work, row: DiscountCode, changed: list[str]) -> DiscountView:
    if changed:
        row.updated_at = work.now
        await work.session.flush()
        work.record(
            CodeUpdated(
                code_id=row.id,
                code=row.code,
                amount=row.amount,
                currency=row.currency,
                active=row.active,
                changed=changed,
            )
        )
    return await discount(work, row.id)


def _kind(word: str) -> DiscountKind:
    try:
        return _OTHER_WORDS.get(word) or DiscountKind(word)
    except ValueError:
        kinds = ", ".join(DiscountKind)
        raise BadRequest(f"{word[:64]!r} is no kind of code. Give one of {kinds}.") from None


def _currency(kind: DiscountKind, given: str | None) -> str | None:
    """A percentage has none, whatever is sent with it. Raises BadRequest for an unknown currency."""
    if kind not in _OF_MONEY:
        return None
    currency = (given or SAT).upper()
    if not is_known(currency):
        raise BadRequest(f"{currency[:8]!r} is no currency. Give SAT or an ISO 4217 code such as USD.")
    return currency


def _amount(kind: DiscountKind, given: int | UnsetType) -> int:
    if given is not UNSET:
        return given
    if kind != DiscountKind.FREE_LICENSE:
        raise BadRequest(f"amount is missing: a code of kind {kind} takes off, or sets, how much?")
    return 0


def _check_amount(kind: DiscountKind, amount: int, currency: str | None) -> None:
    match kind:
        case DiscountKind.PERCENT:
            checks.between("amount", amount, 0, BASIS_POINTS)
        case DiscountKind.FIXED | DiscountKind.SET_PRICE:
            checks.between("amount", amount, 1, MAX_SATS if currency == SAT else MAX_MINOR)
        case DiscountKind.FREE_LICENSE:
            if amount:
                raise BadRequest(f"amount is {amount}, but a free license costs nothing. Leave it out.")


async def _give_product(work: Work, row: DiscountCode, slug: str | None) -> None:
    row.product_id = None
    if not slug:
        return
    product = await locked_product(work, slug)
    if row.currency not in (None, SAT, product.price_currency):
        raise BadRequest(
            f"{product.slug} is priced in {product.price_currency}: a code in {row.currency} would never apply to it."
        )
    row.product_id = ProductId(product.id)


def _write(row: DiscountCode, request: DiscountFields, now: datetime) -> list[str]:
    """The names of what is another value now. Raises BadRequest."""
    cycles = row.duration_cycles if request.duration_cycles is UNSET else request.duration_cycles
    if request.duration not in (UNSET, DiscountDuration.CYCLES) and request.duration_cycles is UNSET:
        cycles = None
    expires_at = checks.instant("expires_at", request.expires_at) if request.expires_at else request.expires_at
    given = {
        "max_uses": request.max_uses,
        "expires_at": expires_at,
        "referrer_label": request.referrer_label or None if request.referrer_label is not UNSET else UNSET,
        "description": request.description or "" if request.description is not UNSET else UNSET,
        "featured": request.featured,
        "duration": request.duration,
        "duration_cycles": cycles,
    }
    changed = [name for name, value in given.items() if value is not UNSET and value != getattr(row, name)]
    for name in changed:
        setattr(row, name, given[name])
    _check(row)
    if "expires_at" in changed and row.expires_at is not None and row.expires_at <= now:
        raise BadRequest("expires_at is over already. Give a moment to come; to end a code now, disable it.")
    return changed


def _check(row: DiscountCode) -> None:
    if row.max_uses is not None:
        checks.between("max_uses", row.max_uses, max(1, row.used_count), USES_MAX)
    if (row.duration == DiscountDuration.CYCLES) != (row.duration_cycles is not None):
        raise BadRequest("duration_cycles goes with duration cycles, and with no other. Give both, or neither.")
    if row.duration_cycles is not None:
        checks.between("duration_cycles", row.duration_cycles, 1, CYCLES_MAX)
    checks.text("description", row.description, DESCRIPTION_MAX)
    checks.text("referrer_label", row.referrer_label or "", LABEL_MAX)


async def _write_tiers(work: Work, row: DiscountCode, slugs: Sequence[str]) -> bool:
    """True: they are others now. Raises NotFound; BadRequest for tiers without a product."""
    if slugs and row.product_id is None:
        raise BadRequest("policy_slugs are tiers of a product: give its product_slug too, when the code is made.")
    wanted = await _policies(work, row.product_id, slugs) if row.product_id else set[PolicyId]()
    there = set(
        (await work.session.scalars(select(DiscountTier.policy_id).where(DiscountTier.discount_id == row.id))).all()
    )
    gone, fresh = there - wanted, wanted - there
    await work.session.execute(
        delete(DiscountTier).where(DiscountTier.discount_id == row.id, DiscountTier.policy_id.in_(gone))
    )
    work.session.add_all([DiscountTier(discount_id=row.id, policy_id=policy_id) for policy_id in fresh])
    async with flushed(work, "One of these tiers has just been deleted. Look again and repeat."):
        pass
    return bool(gone or fresh)


async def _policies(work: Work, product_id: ProductId, slugs: Sequence[str]) -> set[PolicyId]:
    rows = await work.session.execute(select(Policy.slug, Policy.id).where(Policy.product_id == product_id))
    known = {row.slug: row.id for row in rows}
    for slug in slugs:
        if slug not in known:
            raise NotFound(f"The product of this code has no tier {slug[:64]!r}.")
    return {known[slug] for slug in slugs}
