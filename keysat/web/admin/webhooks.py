"""Webhooks: who is told, with which secret, and what became of each delivery."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, URLEncodedBody

from keysat.kit.errors import BadRequest, Conflict, KeysatError, PreconditionFailed
from keysat.operators.scopes import Scope
from keysat.web.admin.door import PATH, admin_page, signed_in
from keysat.web.admin.editing import EditForm, expect_seen, expect_unchanged, filled_in, shown_again, tag_for
from keysat.web.admin.finding import of_endpoint
from keysat.web.html import see_other
from keysat.web.provide import WithRead, WithVisit, WithWork
from keysat.web.visit import Visit
from keysat.web.wire import Line, Paragraph
from keysat.webhooks import deliveries, endpoints
from keysat.webhooks.endpoints import Description, EndpointEdit, NewEndpoint, Shown
from keysat.webhooks.health import health_of
from keysat.webhooks.names import NAMES
from keysat.webhooks.tables import Delivery, DeliveryStatus, Endpoint

HERE = f"{PATH}/webhooks"
SHOWN_AT_ONCE = 50
LOOK, CHANGE = [signed_in(Scope.WEBHOOKS_READ)], [signed_in(Scope.WEBHOOKS_WRITE)]
OVERLAPS = {"0": "no more", "1": "for an hour", "24": "for a day", "168": "for a week"}
"""By hours: how long the older secret signs too."""


class EndpointForm(EditForm, frozen=True, kw_only=True):
    url: Paragraph = ""
    event_types: Paragraph = "*"
    """Names, with spaces, commas or line ends between them."""
    description: Description = ""

    @property
    def given(self) -> dict[str, Any]:
        """As the verbs call it."""
        return {"url": self.url.strip(), "event_types": self._names, "description": self.description or None}

    @property
    def _names(self) -> list[str]:
        return self.event_types.replace(",", " ").split()

    def plain(self, name: str) -> str:
        """Events in another order are the same."""
        return " ".join(sorted({*self._names})) if name == "event_types" else super().plain(name)


class ActiveForm(EditForm, frozen=True, kw_only=True):
    active: Line = ""


class RotateForm(msgspec.Struct, frozen=True, kw_only=True):
    overlap_hours: Line = "24"


@get("/webhooks", guards=LOOK)
async def show_webhooks(visit: WithVisit, done: FromQuery[str] = "") -> Response[str]:
    return await _list_page(visit, done=done)


@post("/webhooks", status_code=200, guards=CHANGE)
async def add_webhook(data: URLEncodedBody[EndpointForm], visit: WithVisit) -> Response[str]:
    """The page shows the secret, once."""
    try:
        await visit.shop.exchange.check(data.given["url"])
        async with visit.work() as work:
            shown = await endpoints.create(work, visit.shop.vault, NewEndpoint(**data.given))
    except (BadRequest, Conflict) as error:
        return await _list_page(visit, error, form=data)
    return _secret_page(visit, shown)


@get("/webhooks/{endpoint_id:uuid}", guards=LOOK)
async def show_webhook(
    visit: WithVisit,
    endpoint_id: FromPath[UUID],
    done: FromQuery[str] = "",
    status: FromQuery[str] = "",
    cursor: FromQuery[str | None] = None,
) -> Response[str]:
    return await _endpoint_page(visit, endpoint_id, done=done, status=status, cursor=cursor)


@post("/webhooks/{endpoint_id:uuid}", status_code=200, guards=CHANGE)
async def edit_webhook(
    data: URLEncodedBody[EndpointForm], visit: WithVisit, endpoint_id: FromPath[UUID]
) -> Response[Any]:
    try:
        await visit.shop.exchange.check(data.given["url"])
        async with visit.work() as work:
            expect_unchanged(data, _known(await endpoints.held(work, endpoint_id)))
            await endpoints.edit(work, endpoint_id, EndpointEdit(**data.given))
    except (BadRequest, PreconditionFailed) as error:
        return await _endpoint_page(visit, endpoint_id, error, form=data)
    return _back(endpoint_id, "edited")


@post("/webhooks/{endpoint_id:uuid}/active", status_code=200, guards=CHANGE)
async def set_webhook_active(
    data: URLEncodedBody[ActiveForm], visit: WithVisit, endpoint_id: FromPath[UUID]
) -> Response[Any]:
    is_on = data.active == "on"
    try:
        async with visit.work() as work:
            row = await endpoints.held(work, endpoint_id)
            if row.active is not is_on:  # else it was a double click
                expect_seen(data, *_seen(row))
                await endpoints.edit(work, endpoint_id, EndpointEdit(active=is_on))
    except PreconditionFailed as error:
        return await _endpoint_page(visit, endpoint_id, error)
    return _back(endpoint_id, "on" if is_on else "off")


@post("/webhooks/{endpoint_id:uuid}/rotate", status_code=200, guards=CHANGE)
async def rotate_webhook(
    data: URLEncodedBody[RotateForm], visit: WithVisit, endpoint_id: FromPath[UUID]
) -> Response[str]:
    hours = data.overlap_hours if data.overlap_hours in OVERLAPS else "24"
    try:
        async with visit.work() as work:
            shown = await endpoints.rotate(work, visit.shop.vault, endpoint_id, int(hours) * 3600)
    except Conflict as error:
        return await _endpoint_page(visit, endpoint_id, error)
    return _secret_page(visit, shown, OVERLAPS[hours])


@post("/webhooks/{endpoint_id:uuid}/retire", status_code=200, guards=CHANGE)
async def retire_webhook_secrets(work: WithWork, endpoint_id: FromPath[UUID]) -> Response[Any]:
    await endpoints.retire_old_secrets(work, endpoint_id)
    return _back(endpoint_id, "retired")


@post("/webhooks/{endpoint_id:uuid}/test", status_code=200, guards=CHANGE)
async def test_webhook(visit: WithVisit, endpoint_id: FromPath[UUID]) -> Response[Any]:
    row = await deliveries.test(visit.errand, visit.shop.exchange, endpoint_id)
    return see_other(f"{HERE}/deliveries/{row.id}?done=tested")


@post("/webhooks/{endpoint_id:uuid}/replay", status_code=200, guards=CHANGE)
async def replay_webhook(work: WithWork, endpoint_id: FromPath[UUID]) -> Response[Any]:
    """The dead letters."""
    await deliveries.replay(work, endpoint_id)
    return _back(endpoint_id, "replayed")


@post("/webhooks/{endpoint_id:uuid}/delete", status_code=200, guards=CHANGE)
async def delete_webhook(
    data: URLEncodedBody[EditForm], visit: WithVisit, endpoint_id: FromPath[UUID]
) -> Response[Any]:
    try:
        async with visit.work() as work:
            expect_seen(data, *_seen(await endpoints.held(work, endpoint_id)))
            await endpoints.delete(work, endpoint_id)
    except PreconditionFailed as error:
        return await _endpoint_page(visit, endpoint_id, error)
    return see_other(f"{HERE}?done=deleted")


@get("/webhooks/deliveries/{delivery_id:uuid}", guards=LOOK)
async def show_delivery(
    visit: WithVisit, read: WithRead, delivery_id: FromPath[UUID], done: FromQuery[str] = ""
) -> Response[str]:
    row = await read.get(Delivery, delivery_id)
    [endpoint] = (await endpoints.named(read, [row.endpoint_id])).values()
    body = msgspec.json.format(row.payload.encode(), indent=2).decode()
    return admin_page(
        visit,
        "admin/webhook_delivery.html",
        at=HERE,
        done=done,
        delivery=row,
        endpoint=endpoint,
        attempts=await deliveries.attempts(read, row.id),
        body=body,
    )


@post("/webhooks/deliveries/{delivery_id:uuid}/retry", status_code=200, guards=CHANGE)
async def retry_delivery(work: WithWork, delivery_id: FromPath[UUID]) -> Response[Any]:
    await deliveries.retry(work, delivery_id)
    return see_other(f"{HERE}/deliveries/{delivery_id}?done=retried")


async def _list_page(
    visit: Visit, trouble: KeysatError | None = None, *, form: EndpointForm | None = None, done: str = ""
) -> Response[str]:
    async with visit.shop.read() as read:
        page = await endpoints.endpoints(read)
        health = await health_of(read, page.items)
    return admin_page(
        visit,
        "admin/webhooks.html",
        at=HERE,
        trouble=trouble,
        done=done,
        endpoints=[(row, of_endpoint(row, health[row.id])) for row in page.items],
        form=form or EndpointForm(),
        names=NAMES,
    )


async def _endpoint_page(
    visit: Visit,
    endpoint_id: UUID,
    trouble: KeysatError | None = None,
    *,
    form: EndpointForm | None = None,
    done: str = "",
    status: str = "",
    cursor: str | None = None,
) -> Response[str]:
    wanted = DeliveryStatus(status) if status in {one.value for one in DeliveryStatus} else None
    async with visit.shop.read() as read:
        row = await endpoints.endpoint(read, endpoint_id)
        keys = (await endpoints.keys_of(read, [row.id]))[row.id]
        filters = deliveries.Wanted(endpoint_id=row.id, status=wanted)
        page = await deliveries.deliveries(read, filters, SHOWN_AT_ONCE, cursor)
        health = (await health_of(read, [row]))[row.id]
    typed, meanwhile = shown_again(form, _known(row), trouble)
    return admin_page(
        visit,
        "admin/webhook.html",
        at=HERE,
        trouble=trouble,
        done=done,
        endpoint=row,
        keys=keys,
        form=typed,
        is_typed=form is not None,
        meanwhile=meanwhile,
        seen=tag_for(*_seen(row)),
        names=NAMES,
        deliveries=page.items,
        next_cursor=page.next_cursor,
        status=wanted or "",
        health=health,
        finding=of_endpoint(row, health),
        overlaps=OVERLAPS,
    )


def _seen(row: Endpoint) -> tuple[str, bool]:
    """What "pause", "resume" and "delete" are pressed for."""
    return _known(row).etag, row.active


def _known(row: Endpoint) -> EndpointForm:
    words = " ".join(row.event_types)
    return filled_in(EndpointForm(url=row.url, event_types=words, description=row.description or ""))


def _secret_page(visit: Visit, shown: Shown, overlap: str | None = None) -> Response[str]:
    """`overlap` None: it is the first one."""
    return admin_page(
        visit,
        "admin/webhook_secret.html",
        at=HERE,
        headers={"Cache-Control": "no-store"},
        endpoint=shown.endpoint,
        secret=shown.secret,
        overlap=overlap,
    )


def _back(endpoint_id: UUID, done: str) -> Response[Any]:
    return see_other(f"{HERE}/{endpoint_id}?done={done}")


ROUTES = (
    show_webhooks,
    add_webhook,
    show_webhook,
    edit_webhook,
    set_webhook_active,
    rotate_webhook,
    retire_webhook_secrets,
    test_webhook,
    replay_webhook,
    delete_webhook,
    show_delivery,
    retry_delivery,
)
