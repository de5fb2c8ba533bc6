"""The operator's pages of merchant profiles: under which names things are sold, and whose accounts take the money."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, URLEncodedBody

from keysat.checkout.seller import delete_profile, hanging_on
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict, KeysatError, PreconditionFailed, TierCap
from keysat.operators.scopes import Scope
from keysat.payments import profiles
from keysat.payments.profiles import NewProfile, ProfileEdit, ProfileFields
from keysat.payments.provider import Rail
from keysat.payments.tables import ConnectionId, ConnectionRow, MerchantProfile
from keysat.web.admin.door import PATH, admin_page, id_in, signed_in
from keysat.web.admin.editing import EditForm, expect_seen, expect_unchanged, filled_in, shown_again, tag_for
from keysat.web.connecting import rails_of, selling
from keysat.web.html import see_other
from keysat.web.provide import WithVisit
from keysat.web.visit import Visit
from keysat.web.wire import Line, Paragraph

HERE = f"{PATH}/profiles"
TEXTS = ProfileFields.__struct_fields__
LOOK, CHANGE = [signed_in(Scope.MERCHANT_PROFILES_READ)], [signed_in(Scope.MERCHANT_PROFILES_WRITE)]
TOLD = (BadRequest, Conflict, PreconditionFailed, TierCap)


class ProfileForm(EditForm, frozen=True, kw_only=True):
    """What is empty is cleared."""

    name: Line = ""
    legal_name: Line = ""
    support_url: Paragraph = ""
    support_email: Line = ""
    post_purchase_redirect_url: Paragraph = ""

    @property
    def texts(self) -> dict[str, str | None]:
        """All but the name."""
        return {field: getattr(self, field).strip() or None for field in TEXTS}


class RailsForm(EditForm, frozen=True, kw_only=True):
    """The id of the connection that each goes to; empty: the earliest that serves it."""

    lightning: Line = ""
    onchain: Line = ""
    card: Line = ""


@get("/profiles", guards=LOOK)
async def show_profiles(visit: WithVisit, done: FromQuery[str] = "") -> Response[str]:
    return await _list_page(visit, done=done)


@post("/profiles", status_code=200, guards=CHANGE)
async def add_profile(data: URLEncodedBody[ProfileForm], visit: WithVisit) -> Response[Any]:
    try:
        async with visit.work() as work:
            made = await profiles.create(work, NewProfile(name=data.name, **data.texts))
    except TOLD as error:
        return await _list_page(visit, error, form=data)
    return see_other(f"{_place(made.id)}?done=created")


@get("/profiles/{profile_id:uuid}", guards=LOOK)
async def show_profile(visit: WithVisit, profile_id: FromPath[UUID], done: FromQuery[str] = "") -> Response[str]:
    return await _profile_page(visit, profile_id, done=done)


@post("/profiles/{profile_id:uuid}", status_code=200, guards=CHANGE)
async def edit_profile(
    data: URLEncodedBody[ProfileForm], visit: WithVisit, profile_id: FromPath[UUID]
) -> Response[Any]:
    return await _changed(visit, profile_id, partial(_edit, wanted=data), "edited", form=data)


@post("/profiles/{profile_id:uuid}/rails", status_code=200, guards=CHANGE)
async def prefer_rails(data: URLEncodedBody[RailsForm], visit: WithVisit, profile_id: FromPath[UUID]) -> Response[Any]:
    return await _changed(visit, profile_id, partial(_prefer, wanted=data), "rails", rails=data)


@post("/profiles/{profile_id:uuid}/default", status_code=200, guards=CHANGE)
async def make_default(data: URLEncodedBody[EditForm], visit: WithVisit, profile_id: FromPath[UUID]) -> Response[Any]:
    return await _changed(visit, profile_id, partial(_make_default, pressed=data), "default")


@post("/profiles/{profile_id:uuid}/delete", status_code=200, guards=CHANGE)
async def remove_profile(data: URLEncodedBody[EditForm], visit: WithVisit, profile_id: FromPath[UUID]) -> Response[Any]:
    return await _changed(visit, profile_id, partial(_delete, pressed=data), "deleted", back=HERE)


async def _changed(
    visit: Visit,
    profile_id: UUID,
    act: Callable[[Work, UUID], Awaitable[object]],
    done: str,
    *,
    form: ProfileForm | None = None,
    rails: RailsForm | None = None,
    back: str = "",
) -> Response[Any]:
    """The profile's page says why not; that or `back` says what was done."""
    try:
        async with visit.work() as work:
            await act(work, profile_id)
    except TOLD as error:
        return await _profile_page(visit, profile_id, error, form=form, rails=rails)
    return see_other(f"{back or _place(profile_id)}?done={done}")


async def _edit(work: Work, profile_id: UUID, wanted: ProfileForm) -> None:
    expect_unchanged(wanted, _texts_of(await work.hold(MerchantProfile, profile_id)))
    await profiles.edit(work, profile_id, ProfileEdit(name=wanted.name.strip() or None, **wanted.texts))


async def _make_default(work: Work, profile_id: UUID, pressed: EditForm) -> None:
    row = await work.hold(MerchantProfile, profile_id)
    if not row.is_default:  # else it was a double click
        expect_seen(pressed, *await _seen(work, row))
        await profiles.set_default(work, profile_id)


async def _delete(work: Work, profile_id: UUID, pressed: EditForm) -> None:
    expect_seen(pressed, *await _seen(work, await work.hold(MerchantProfile, profile_id)))
    await delete_profile(work, profile_id)


async def _prefer(work: Work, profile_id: UUID, wanted: RailsForm) -> None:
    """Those alone that are otherwise than they were. Raises NotFound, BadRequest, PreconditionFailed."""
    await work.hold(MerchantProfile, profile_id)
    known = await profiles.preferences(work, profile_id)
    expect_unchanged(wanted, _rails_of(known))
    for rail in Rail:
        connection = getattr(wanted, rail)
        if connection == str(known.get(rail, "")):
            continue
        if connection:
            await profiles.prefer(work, profile_id, rail, id_in(connection, "connection"))
        else:
            await profiles.prefer_none(work, profile_id, rail)


async def _seen(read: Read, row: MerchantProfile) -> tuple[str, UUID | None]:
    """What "make it the default" and "delete" are pressed for: its texts, and which is the default."""
    default = await profiles.profile_of(read, None)
    return _texts_of(row).etag, default and default.id


def _texts_of(row: MerchantProfile) -> ProfileForm:
    return filled_in(ProfileForm(**{field: getattr(row, field) or "" for field in ("name", *TEXTS)}))


def _rails_of(preferred: Mapping[Rail, ConnectionId]) -> RailsForm:
    return filled_in(RailsForm(**{rail.value: str(connection) for rail, connection in preferred.items()}))


async def _list_page(
    visit: Visit, trouble: KeysatError | None = None, *, form: ProfileForm | None = None, done: str = ""
) -> Response[str]:
    async with visit.shop.read() as read:
        listed = [(row, await selling(read, row)) for row in (await profiles.listed(read)).items]
    return admin_page(
        visit,
        "admin/profiles.html",
        at=HERE,
        trouble=trouble,
        done=done,
        profiles=listed,
        form=form or ProfileForm(),
    )


async def _profile_page(
    visit: Visit,
    profile_id: UUID,
    trouble: KeysatError | None = None,
    *,
    form: ProfileForm | None = None,
    rails: RailsForm | None = None,
    done: str = "",
) -> Response[str]:
    """`form`, `rails`: as they were sent, where there was trouble with them."""
    async with visit.shop.read() as read:
        row = await read.get(MerchantProfile, profile_id)
        connections = await selling(read, row)
        preferred = await profiles.preferences(read, profile_id)
        hanging = await hanging_on(read, profile_id)
        seen = tag_for(*await _seen(read, row))
    texts, texts_now = shown_again(form, _texts_of(row), trouble)
    chosen, chosen_now = shown_again(rails, _rails_of(preferred), trouble)
    return admin_page(
        visit,
        "admin/profile.html",
        at=HERE,
        trouble=trouble,
        done=done,
        profile=row,
        form=texts,
        chosen=chosen,
        is_rails=rails is not None,
        meanwhile={**texts_now, **chosen_now},
        connections=[(one, rails_of(one.provider)) for one in connections],
        labels={"": "The one connected first"} | {str(one.id): one.label for one in connections},
        rails=_choices(connections, preferred),
        hanging=hanging,
        seen=seen,
    )


def _choices(
    connections: Sequence[ConnectionRow], preferred: Mapping[Rail, ConnectionId]
) -> dict[Rail, Sequence[ConnectionRow]]:
    """Which of them serve each rail, where there is something to choose, or was."""
    serving = {rail: [one for one in connections if rail in rails_of(one.provider)] for rail in Rail}
    return {rail: rows for rail, rows in serving.items() if len(rows) > 1 or (rows and rail in preferred)}


def _place(profile_id: UUID) -> str:
    return f"{HERE}/{profile_id}"


ROUTES = (show_profiles, add_profile, show_profile, edit_profile, prefer_rails, make_default, remove_profile)
