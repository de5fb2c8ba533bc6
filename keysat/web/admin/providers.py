"""The operator's page of payment providers: whose accounts take the money, how they are, and connecting one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromQuery, URLEncodedBody
from msgspec import Meta
from sqlalchemy import select

from keysat.infra.written import date_and_time
from keysat.kit.errors import BadRequest, Conflict, KeysatError, NotFound, TierCap, UpstreamError
from keysat.operators.scopes import Scope
from keysat.payments import profiles
from keysat.payments.authorize import begin
from keysat.payments.check import check, repair, selling_till
from keysat.payments.connections import connect
from keysat.payments.disconnect import part
from keysat.payments.tables import ConnectionId, ConnectionRow, ConnectionStatus
from keysat.upkeep.tills import refresh_tills
from keysat.web.admin.door import PATH, admin_page, id_in, signed_in
from keysat.web.admin.finding import Finding
from keysat.web.connecting import BTCPAY, ZAPRITE, Provider, last_url, may_connect, places_of, shown
from keysat.web.html import see_other
from keysat.web.provide import WithVisit
from keysat.web.visit import Visit

HERE = f"{PATH}/providers"
NAMES = {BTCPAY: "BTCPay Server", ZAPRITE: "Zaprite", "sandbox": "The sandbox wallet"}
TOLD = (BadRequest, NotFound, Conflict, TierCap, UpstreamError)
OWNERS = [signed_in(Scope.OWNER)]

Typed = Annotated[str, Meta(max_length=2000)]


class BtcpayForm(msgspec.Struct, frozen=True, kw_only=True):
    url: Typed = ""
    profile: Typed = ""


class ZapriteForm(msgspec.Struct, frozen=True, kw_only=True):
    api_key: Typed = ""
    label: Typed = ""
    profile: Typed = ""


class OneForm(msgspec.Struct, frozen=True, kw_only=True):
    provider_id: UUID
    at_once: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    connection: Provider
    name: str
    profile: str
    findings: Sequence[Finding]

    @property
    def can_be_repaired(self) -> bool:
        health = self.connection.health
        return health is not None and health.webhook_ok is False


def findings(one: Provider, by_hand: str) -> list[Finding]:
    """Pure. What the last look found, in words. `by_hand`: the address for webhooks that are set up so."""
    name, health = NAMES.get(one.kind, one.kind), one.health
    if health is None:
        return [Finding("odd", "Nobody has looked at it yet.")]
    if not health.reachable:
        return [Finding("bad", f"{name} did not answer.")]
    if not health.authorized:
        return [Finding("bad", f"{name} no longer takes the API key. Disconnect it, and connect it again.")]
    found: list[Finding] = []
    if health.missing:
        found.append(Finding("bad", f"The API key lacks {', '.join(health.missing)}."))
    if health.synced is False:
        found.append(Finding("odd", "Its node is still catching up: payments on the chain are not seen yet."))
    found += [Finding("bad", f"The webhook: {fault}") for fault in health.webhook_faults]
    if health.excess:
        found.append(Finding("odd", f"The API key may do more than it needs: {', '.join(health.excess)}."))
    if health.last_delivery_ok is False:
        found.append(Finding("bad", "Its last message did not get through to this shop."))
    if health.webhook_ok is None and one.webhook_url is None:
        found.append(Finding("odd", f"Tell {name} to send its webhooks to {by_hand}"))
    found += [Finding("odd", warning) for warning in health.warnings]
    if not any(finding.tone == "bad" for finding in found):
        last = f" Its last message came on {date_and_time(health.last_delivery_at)}." if health.last_delivery_at else ""
        found.insert(0, Finding("good", f"It is well.{last}"))
    return found


@get("/providers", guards=[signed_in(Scope.PAYMENT_PROVIDERS_READ)])
async def show_providers(visit: WithVisit, done: FromQuery[str] = "") -> Response[str]:
    return await _page(visit, done=done)


@post("/providers/btcpay", status_code=200, guards=OWNERS)
async def go_to_btcpay(data: URLEncodedBody[BtcpayForm], visit: WithVisit) -> Response[str]:
    """A page that goes on to BTCPay's: a form may not lead to another site."""
    try:
        may_connect(visit)
        async with visit.shop.read() as read:
            places = await places_of(read, visit.shop, data.url.strip() or None, None)
        begun = await begin(visit.office, BTCPAY, places, _profile_id(data.profile))
    except TOLD as error:
        return await _page(visit, trouble=error, about=BTCPAY, url=data.url)
    return admin_page(visit, "admin/providers_leave.html", at=HERE, url=begun.url)


@post("/providers/zaprite", status_code=200, guards=OWNERS)
async def connect_zaprite(data: URLEncodedBody[ZapriteForm], visit: WithVisit) -> Response[Any]:
    fields = {name: value for name, value in (("api_key", data.api_key), ("label", data.label)) if value.strip()}
    try:
        may_connect(visit)
        profile_id = _profile_id(data.profile)
        made = await connect(visit.office, ZAPRITE, fields, profile_id)
        await check(visit.office, await visit.shop.tills.get(made))
    except TOLD as error:
        return await _page(visit, trouble=error, about=ZAPRITE)
    return await _done(visit, "connected")


@post("/providers/check", status_code=200, guards=OWNERS)
async def check_provider(data: URLEncodedBody[OneForm], visit: WithVisit) -> Response[Any]:
    shop = visit.shop
    try:
        till = await selling_till(shop.tills, ConnectionId(data.provider_id))
    except TOLD as error:
        return await _page(visit, trouble=error)
    await check(visit.office, till)
    return await _done(visit, "checked")


@post("/providers/repair", status_code=200, guards=OWNERS)
async def repair_provider(data: URLEncodedBody[OneForm], visit: WithVisit) -> Response[Any]:
    try:
        await repair(visit.office, visit.shop.tills, ConnectionId(data.provider_id))
    except TOLD as error:
        return await _page(visit, trouble=error)
    return await _done(visit, "repaired")


@post("/providers/disconnect", status_code=200, guards=OWNERS)
async def disconnect_provider(data: URLEncodedBody[OneForm], visit: WithVisit) -> Response[Any]:
    shop = visit.shop
    try:
        till = await shop.tills.get(ConnectionId(data.provider_id))
        parted = await part(visit.office, till, at_once=bool(data.at_once))
    except TOLD as error:
        return await _page(visit, trouble=error)
    await refresh_tills(shop)
    if parted.warnings:
        return await _page(visit, done="disconnected", left=parted.warnings)
    return await _done(visit, "disconnected")


async def _done(visit: Visit, what: str) -> Response[Any]:
    await refresh_tills(visit.shop)
    return see_other(f"{HERE}?done={what}")


def _profile_id(text: str) -> UUID | None:
    """None: the default one. Raises BadRequest."""
    return id_in(text, "merchant profile") if text else None


async def _page(
    visit: Visit,
    *,
    done: str = "",
    trouble: KeysatError | None = None,
    about: str = "",
    url: str = "",
    left: Sequence[str] = (),
) -> Response[str]:
    """`about`: whose form the trouble belongs to. `left`: what a disconnect left behind."""
    shop = visit.shop
    async with shop.read() as read:
        rows = await read.session.scalars(select(ConnectionRow).order_by(ConnectionRow.connected_at))
        connections = [shown(row) for row in rows]
        names: dict[UUID, str] = {row.id: row.name or "The shop" for row in (await profiles.listed(read)).items}
        known_url = await last_url(read)
    cards = [
        Shown(
            one,
            NAMES.get(one.kind, one.kind),
            names.get(one.merchant_profile_id, "") if one.merchant_profile_id and len(names) > 1 else "",
            findings(one, visit.office.webhook_url(one.kind, one.id)),
        )
        for one in connections
    ]
    return admin_page(
        visit,
        "admin/providers.html",
        at=HERE,
        trouble=trouble,
        about=about,
        done=done,
        left=left,
        active=[card for card in cards if card.connection.status is ConnectionStatus.ACTIVE],
        past=[card for card in cards if card.connection.status is ConnectionStatus.DISCONNECTED][::-1],
        profiles=list(names.items()),
        asks_url=shop.settings.btcpay_url is None,
        url=url or known_url or "",
        is_owner=visit.may(Scope.OWNER),
    )


ROUTES = (show_providers, go_to_btcpay, connect_zaprite, check_provider, repair_provider, disconnect_provider)
