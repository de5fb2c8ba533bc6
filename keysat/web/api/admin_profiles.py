"""Merchant profiles, as their operator writes them (`published-server.md` 2.9)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import delete, get, patch, post, put
from litestar.params import FromPath, JSONBody

from keysat.checkout.seller import delete_profile, hanging_on
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.payments import profiles
from keysat.payments.provider import Rail
from keysat.payments.tables import ConnectionRow, MerchantProfile
from keysat.web.connecting import rails_of, selling
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Cursor, Limit
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithWork
from keysat.web.wire import Done, Outbound, StrictInbound


class ProfileProvider(Outbound, frozen=True, kw_only=True):
    """A connection that takes orders."""

    id: UUID
    kind: str
    label: str
    base_url: str
    store_id: str
    webhook_id: str | None
    connected_at: datetime
    served_rails: list[Rail]


class Profile(Outbound, frozen=True, kw_only=True):
    """Under which name something is sold. `name` null: the shop's own, as its settings say; only the default is so.

    In `post_purchase_redirect_url`, `{invoice_id}` stands for the order's. Null: to our own page.
    """

    id: UUID
    name: str | None
    legal_name: str | None
    support_url: str | None
    support_email: str | None
    post_purchase_redirect_url: str | None
    is_default: bool
    created_at: datetime
    updated_at: datetime
    providers: list[ProfileProvider]


class Preference(Outbound, frozen=True, kw_only=True):
    rail: Rail
    payment_provider_id: UUID


class ProfileDetail(Profile, frozen=True, kw_only=True):
    """`active_subscription_count`: of its products, and not over."""

    rail_preferences: list[Preference]
    product_count: int
    active_subscription_count: int


class Profiles(Outbound, frozen=True, kw_only=True):
    profiles: list[Profile]
    next_cursor: str | None


class PreferenceBody(StrictInbound, frozen=True, kw_only=True):
    payment_provider_id: UUID


@get("/merchant-profiles", operation_id="listMerchantProfiles", responses=refusals(404))
async def list_profiles(read: WithRead, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Profiles:
    """The oldest first, which is the one that came with the shop."""
    page = await profiles.listed(read, limit, cursor)
    return Profiles(profiles=[await _profile(read, row) for row in page.items], next_cursor=page.next_cursor)


@get("/merchant-profiles/{profile_id:uuid}", operation_id="getMerchantProfile", opt=TAGGED, responses=refusals(404))
async def get_profile(read: WithRead, profile_id: FromPath[UUID]) -> ProfileDetail:
    """With what hangs on it."""
    return await _detail(read, await read.get(MerchantProfile, profile_id))


@post("/merchant-profiles", operation_id="createMerchantProfile", status_code=200, opt=CREATES, responses=refusals(402))
async def create_profile(work: WithWork, data: JSONBody[profiles.NewProfile]) -> ProfileDetail:
    """It takes no payments until an account is connected for it."""
    return await _detail(work, await profiles.create(work, data))


@patch(
    "/merchant-profiles/{profile_id:uuid}",
    operation_id="editMerchantProfile",
    opt=edits(get_profile),
    responses=refusals(404, 412),
)
async def edit_profile(
    work: WithWork, profile_id: FromPath[UUID], data: JSONBody[profiles.ProfileEdit]
) -> ProfileDetail:
    """An absent field stays, null clears."""
    return await _detail(work, await profiles.edit(work, profile_id, data))


@delete(
    "/merchant-profiles/{profile_id:uuid}",
    operation_id="deleteMerchantProfile",
    status_code=200,
    opt=edits(get_profile),
    responses=refusals(404, 409),
)
async def remove_profile(work: WithWork, profile_id: FromPath[UUID]) -> Done:
    """Refused with what hangs on it: products, running subscriptions, connections. The default one stays."""
    await delete_profile(work, profile_id)
    return Done()


@post(
    "/merchant-profiles/{profile_id:uuid}/set-default",
    operation_id="setDefaultMerchantProfile",
    status_code=200,
    opt=edits(get_profile),
    responses=refusals(404, 409, 412),
)
async def set_default_profile(work: WithWork, profile_id: FromPath[UUID]) -> ProfileDetail:
    """What names no profile is sold by this one from now on."""
    return await _detail(work, await profiles.set_default(work, profile_id))


@put(
    "/merchant-profiles/{profile_id:uuid}/rail-preferences/{rail:str}",
    operation_id="setRailPreference",
    status_code=200,
    responses=refusals(404),
)
async def put_preference(
    work: WithWork, profile_id: FromPath[UUID], rail: FromPath[str], data: JSONBody[PreferenceBody]
) -> Done:
    """What is paid by `lightning`, `onchain` or `card` goes to this connection, which must be the profile's."""
    await profiles.prefer(work, profile_id, _rail(rail), data.payment_provider_id)
    return Done()


@delete(
    "/merchant-profiles/{profile_id:uuid}/rail-preferences/{rail:str}",
    operation_id="clearRailPreference",
    status_code=200,
    responses=refusals(404),
)
async def delete_preference(work: WithWork, profile_id: FromPath[UUID], rail: FromPath[str]) -> Done:
    """The earliest connection that serves the rail takes it. Nothing happens where that is so."""
    await profiles.prefer_none(work, profile_id, _rail(rail))
    return Done()


def _rail(word: str) -> Rail:
    try:
        return Rail(word)
    except ValueError:
        raise BadRequest(f"There is no rail {word[:32]!r}: there are {', '.join(Rail)}.") from None


async def _profile(read: Read, row: MerchantProfile) -> Profile:
    return Profile(**_fields(row), providers=_lines(await selling(read, row)))


async def _detail(read: Read, row: MerchantProfile) -> ProfileDetail:
    hanging = await hanging_on(read, row.id)
    preferred = await profiles.preferences(read, row.id)
    return ProfileDetail(
        **_fields(row),
        providers=_lines(await selling(read, row)),
        rail_preferences=[
            Preference(rail=rail, payment_provider_id=connection_id) for rail, connection_id in preferred.items()
        ],
        product_count=hanging.products,
        active_subscription_count=hanging.subscriptions,
    )


def _fields(row: MerchantProfile) -> dict[str, Any]:
    own = set(Profile.__struct_fields__) - {"providers"}
    return {name: getattr(row, name) for name in own}


def _lines(rows: Sequence[ConnectionRow]) -> list[ProfileProvider]:
    return [
        ProfileProvider(
            id=row.id,
            kind=row.provider,
            label=row.label,
            base_url=row.base_url,
            store_id=row.account_id,
            webhook_id=row.webhook_id,
            connected_at=row.connected_at,
            served_rails=rails_of(row.provider),
        )
        for row in rows
    ]


ROUTES = (
    list_profiles,
    get_profile,
    create_profile,
    edit_profile,
    remove_profile,
    set_default_profile,
    put_preference,
    delete_preference,
)
