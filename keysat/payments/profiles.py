"""Merchant profiles: under which name something is sold, and whose accounts take the money.

Source: `published-server.md` 2.9, 6.2, 6.9. What its profiles had besides is not kept: a colour that our pages, which
are light and dark, could not promise to be read on, and a mail account that nothing was ever sent from.
"""

import re
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import delete, func, select, update

from keysat.infra.edition import Cap
from keysat.infra.filtered import paged
from keysat.infra.work import Read, Work, flushed
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.paging import LIMIT_MAX, Page
from keysat.payments.happenings import (
    ProfileCreated,
    ProfileDeleted,
    ProfileMadeDefault,
    ProfileUpdated,
    RailPreferenceCleared,
    RailPreferred,
)
from keysat.payments.provider import Rail
from keysat.payments.registry import provider
from keysat.payments.tables import (
    ConnectionId,
    ConnectionRow,
    ConnectionStatus,
    ConnectRequest,
    MerchantProfile,
    ProfileId,
    RailPreference,
)

URL_MAX = 2000
INVOICE_ID = "{invoice_id}"
"""In `post_purchase_redirect_url`: stands for the order's public id."""

_EMAIL = re.compile(r"[^\s\x00-\x1f@<>\"',;:\\]{1,64}@[^\s\x00-\x1f@<>\"',;:\\]{1,255}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class ProfileFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be edited: an absent field stays, null clears."""

    legal_name: str | UnsetType | None = UNSET
    support_url: str | UnsetType | None = UNSET
    support_email: str | UnsetType | None = UNSET
    post_purchase_redirect_url: str | UnsetType | None = UNSET


class NewProfile(ProfileFields, frozen=True, kw_only=True):
    name: str


class ProfileEdit(ProfileFields, frozen=True, kw_only=True):
    """Without a name the shop's own is shown: only the default profile may be without."""

    name: str | UnsetType | None = UNSET


async def the_default(work: Work) -> MerchantProfile:
    """The one that sells what names no other. Made where there is none yet."""
    row = await work.session.scalar(_DEFAULT)
    if row is None:
        row = MerchantProfile(id=ProfileId(work.new_id()), is_default=True, created_at=work.now, updated_at=work.now)
        async with flushed(work, "The default profile was made a moment ago. Repeat this."):
            work.session.add(row)
    return row


async def chosen(work: Work, profile_id: UUID | None) -> MerchantProfile:
    """None stands for the default one, made where there is none yet. Raises NotFound for an id that is none."""
    return await work.get(MerchantProfile, profile_id) if profile_id is not None else await the_default(work)


async def profile_of(read: Read, profile_id: UUID | None) -> MerchantProfile | None:
    """As `chosen`, but nothing is made: None where there is no default one yet."""
    if profile_id is not None:
        return await read.get(MerchantProfile, profile_id)
    return await read.session.scalar(_DEFAULT)


async def create(work: Work, request: NewProfile) -> MerchantProfile:
    """Raises BadRequest, TierCap."""
    await work.within(Cap.PROFILES, select(func.count()).select_from(MerchantProfile))
    await the_default(work)
    row = MerchantProfile(id=ProfileId(work.new_id()), is_default=False, created_at=work.now, updated_at=work.now)
    _write(row, request)
    work.session.add(row)
    await work.session.flush()
    work.record(ProfileCreated(row.id))
    return row


async def edit(work: Work, profile_id: UUID, request: ProfileEdit) -> MerchantProfile:
    """Raises NotFound, BadRequest."""
    row = await work.hold(MerchantProfile, profile_id)
    changed = _write(row, request)
    if row.name is None and not row.is_default:
        raise BadRequest("Only the default profile may be without a name. Give this one a name.")
    if changed:
        row.updated_at = work.now
        work.record(ProfileUpdated(row.id, changed))
    return row


async def set_default(work: Work, profile_id: UUID) -> MerchantProfile:
    """What names no profile is sold by this one from now on. Raises NotFound, BadRequest."""
    row = await work.hold(MerchantProfile, profile_id)
    if row.is_default:
        return row
    before = await the_default(work)
    if before.name is None:
        raise BadRequest("The default profile has no name of its own. Name it first: it would be left without one.")
    await work.session.execute(
        update(ConnectionRow)
        .where(ConnectionRow.merchant_profile_id.is_(None))
        .values(merchant_profile_id=before.id)
        .execution_options(synchronize_session=False)
    )
    before.is_default = False
    await work.session.flush()
    async with flushed(work, "The default was changed by someone else a moment ago. Look again and repeat."):
        row.is_default = True
        row.updated_at = work.now
    work.record(ProfileMadeDefault(row.id, before.id))
    return row


async def remove(work: Work, profile_id: UUID) -> None:
    """Raises NotFound; Conflict for the default one. `checkout.seller` calls it, and counts what hangs on it before."""
    row = await work.hold(MerchantProfile, profile_id)
    if row.is_default:
        raise Conflict("This is the default profile. Make another one the default first.")
    await work.session.execute(delete(RailPreference).where(RailPreference.merchant_profile_id == row.id))
    await work.session.execute(delete(ConnectRequest).where(ConnectRequest.merchant_profile_id == row.id))
    # Old orders are still watched through these, and keep their connection, not its profile.
    await work.session.execute(
        update(ConnectionRow)
        .where(ConnectionRow.merchant_profile_id == row.id, ConnectionRow.status == ConnectionStatus.DISCONNECTED)
        .values(merchant_profile_id=None)
        .execution_options(synchronize_session=False)
    )
    async with flushed(work, "Something was added to this profile a moment ago. Look again."):
        await work.session.delete(row)
    work.record(ProfileDeleted(profile_id))


async def listed(read: Read, limit: int = LIMIT_MAX, cursor: str | None = None) -> Page[MerchantProfile]:
    """The oldest first, which is the one that came with the shop. Raises BadRequest for a cursor that is not ours."""
    key = (MerchantProfile.created_at, MerchantProfile.id)
    return await paged(read, select(MerchantProfile), key, limit, cursor, of="merchant_profiles")


async def preferences(read: Read, profile_id: UUID) -> dict[Rail, ConnectionId]:
    """Which connection takes what is paid by a rail. Where none is named, the earliest that serves it."""
    query = select(RailPreference).where(RailPreference.merchant_profile_id == profile_id).order_by(RailPreference.rail)
    return {row.rail: row.connection_id for row in await read.session.scalars(query)}


async def prefer(work: Work, profile_id: UUID, rail: Rail, connection_id: UUID) -> None:
    """What is paid by this rail goes to this connection. Raises NotFound, BadRequest."""
    profile = await work.hold(MerchantProfile, profile_id)
    connection = await work.session.get(ConnectionRow, connection_id)
    if connection is None or connection.status != ConnectionStatus.ACTIVE:
        raise BadRequest("There is no such connection.")
    if (connection.merchant_profile_id or (await the_default(work)).id) != profile.id:
        raise BadRequest("This connection belongs to another profile.")
    if rail not in provider(connection.provider).capabilities.rails:
        raise BadRequest(f"{connection.provider} cannot be paid by {rail}.")
    values = {"connection_id": connection.id}
    await work.session.execute(
        work.insert(RailPreference)
        .values(merchant_profile_id=profile.id, rail=rail, **values)
        .on_conflict_do_update(index_elements=["merchant_profile_id", "rail"], set_=values)
    )
    work.record(RailPreferred(profile.id, rail, connection.id))


async def prefer_none(work: Work, profile_id: UUID, rail: Rail) -> None:
    """The earliest connection that serves the rail takes it. Nothing happens where that is so. Raises NotFound."""
    profile = await work.get(MerchantProfile, profile_id)
    gone = await work.session.execute(
        delete(RailPreference)
        .where(RailPreference.merchant_profile_id == profile.id, RailPreference.rail == rail)
        .returning(RailPreference.rail)
    )
    if gone.first() is not None:
        work.record(RailPreferenceCleared(profile.id, rail))


def redirect_of(profile: MerchantProfile | None, invoice_id: str) -> str | None:
    """Where buyers go after they paid, if not to our own page (contract 3.7, step 11)."""
    if profile is None or profile.post_purchase_redirect_url is None:
        return None
    return profile.post_purchase_redirect_url.replace(INVOICE_ID, invoice_id)


_DEFAULT = select(MerchantProfile).where(MerchantProfile.is_default)


def _write(row: MerchantProfile, request: NewProfile | ProfileEdit) -> list[str]:
    """The names of what is different now. Raises BadRequest."""
    changed: list[str] = []
    for field in request.__struct_fields__:
        given = getattr(request, field)
        if given is UNSET:
            continue
        value = _checked(field, given.strip()) if given is not None and given.strip() else None
        if field == "name" and given is not None and value is None:
            raise BadRequest("name is empty. Give one of 1 to 200 characters.")
        if getattr(row, field) != value:
            setattr(row, field, value)
            changed.append(field)
    return changed


def _checked(field: str, value: str) -> str:
    match field:
        case "support_email" if not _EMAIL.fullmatch(value):
            raise BadRequest("support_email is no e-mail address.")
        case "support_url" | "post_purchase_redirect_url":
            _check_url(field, value)
        case "name" | "legal_name" if not _TEXT.fullmatch(value):
            raise BadRequest(f"{field} has more than 200 characters, or control characters. Shorten it.")
        case _:
            pass
    return value


def _check_url(field: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        is_web = False
    if not is_web or len(value) > URL_MAX or not value.isascii() or not value.isprintable() or " " in value:
        raise BadRequest(f"{field} is no web address: write it like https://example.org/help")
