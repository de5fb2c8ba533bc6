"""What a licensed app asks: is this key good, and may this machine use it. A refusal is an answer, with status 200."""

from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from keysat.infra.house import Mode
from keysat.licenses import machines
from keysat.licenses.machines import Activation, Deactivation, Heartbeat
from keysat.licenses.ring import Presented, present
from keysat.licenses.validate import Answer, validate
from keysat.licenses.verdict import Reason
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.shared_limits import key_counted
from keysat.web.throttle import Rate
from keysat.web.visit import Visit
from keysat.web.wire import KeyText, Line

Fingerprint = Annotated[str, Meta(max_length=4096)]


class ValidateBody(msgspec.Struct, frozen=True):
    """Unknown fields are ignored. `fingerprint` is the app's own text; empty counts as absent."""

    key: KeyText
    product_slug: Line | None = None
    fingerprint: Fingerprint | None = None
    hostname: Line | None = None
    platform: Line | None = None


class ActivateBody(msgspec.Struct, frozen=True):
    key: KeyText
    fingerprint: Fingerprint
    hostname: Line | None = None
    platform: Line | None = None


class HeartbeatBody(msgspec.Struct, frozen=True):
    key: KeyText
    fingerprint: Fingerprint


class DeactivateBody(msgspec.Struct, frozen=True):
    key: KeyText
    fingerprint: Fingerprint
    reason: Line | None = None


@post("/v1/validate", operation_id="validateLicense", status_code=200)
async def validate_license(data: JSONBody[ValidateBody], visit: WithVisit) -> Answer:
    """Whether a key is good now. The answer comes from the license as it stands, not from what the key says."""
    shop = visit.shop
    presented = await present(shop.ring, data.key, visit.now)
    if not _is_within_limit(visit, presented, Rate.LICENSE):
        answer = Answer(ok=False, reason=Reason.RATE_LIMITED)
    else:
        answer = await validate(
            visit.errand,
            shop.telemetry,
            presented,
            product_slug=data.product_slug,
            fingerprint=data.fingerprint,
            hostname=data.hostname,
            platform=data.platform,
        )
    return msgspec.structs.replace(answer, sandbox=True) if shop.mode == Mode.SANDBOX else answer


_MACHINES: dict[str, Any] = {"status_code": 200, "responses": refusals(404)}


@post("/v1/machines/activate", operation_id="activateMachine", **_MACHINES)
async def activate_machine(data: JSONBody[ActivateBody], shop: WithShop, visit: WithVisit) -> Activation:
    """Take a seat for this machine, or keep the one it has."""
    presented = await present(shop.ring, data.key, visit.now)
    if not _is_within_limit(visit, presented, Rate.LICENSE):
        return Activation(False, None, 0, 0, Reason.RATE_LIMITED)
    return await machines.activate(
        visit.errand,
        shop.telemetry,
        presented,
        data.fingerprint,
        hostname=data.hostname,
        platform=data.platform,
    )


@post("/v1/machines/heartbeat", operation_id="heartbeatMachine", **_MACHINES)
async def heartbeat_machine(data: JSONBody[HeartbeatBody], visit: WithVisit) -> Heartbeat:
    """Say that this machine is in use."""
    shop = visit.shop
    presented = await present(shop.ring, data.key, visit.now)
    if not _is_within_limit(visit, presented, Rate.HEARTBEAT):
        return Heartbeat(False, None, Reason.RATE_LIMITED)
    return await machines.heartbeat(visit.errand, shop.telemetry, presented, data.fingerprint)


@post("/v1/machines/deactivate", operation_id="deactivateMachine", **_MACHINES)
async def deactivate_machine(data: JSONBody[DeactivateBody], shop: WithShop, visit: WithVisit) -> Deactivation:
    """Give this machine's seat back."""
    presented = await present(shop.ring, data.key, visit.now)
    if not _is_within_limit(visit, presented, Rate.LICENSE):
        return Deactivation(False, Reason.RATE_LIMITED)
    return await machines.deactivate(visit.errand, presented, data.fingerprint, reason=data.reason)


def _is_within_limit(visit: Visit, presented: Presented, rate: Rate) -> bool:
    """By key, once its signature held: nobody uses up another's limit. A key that is none counts on its sender."""
    counted = key_counted(presented)
    return visit.allows(rate if counted else Rate.BAD_KEY, counted).allowed


ROUTES = (validate_license, activate_machine, heartbeat_machine, deactivate_machine)
