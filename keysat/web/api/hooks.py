"""Webhooks in: a provider says that something happened. We store that, and look ourselves (`payment-rails.md` 6.6).

The answers are chosen for the provider's queue: 200 for all that need not come again, 4xx for what is wrong for good.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Parameter, RequestBody, Schema
from litestar.params import FromPath

from keysat.checkout.collect import mark_due
from keysat.checkout.tables import OrderId
from keysat.infra.events import Actor
from keysat.kit.errors import BadRequest, NotFound, Unauthorized, UnsupportedMediaType
from keysat.payments.nudges import keep
from keysat.payments.provider import BadSignature, Malformed
from keysat.payments.tables import ConnectionId
from keysat.payments.tills import OpenTill
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.throttle import Rate
from keysat.web.visit import Visit

SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")


@dataclass
class FromProvider(Operation):
    """In the OpenAPI document: a body whose bytes the handler takes as they came, and who sent it."""

    def __post_init__(self) -> None:
        signature = Parameter(
            name="BTCPay-Sig",
            param_in="header",
            description="`sha256=` and the HMAC of the body with the webhook's secret, in hex. BTCPay Server sends it.",
            schema=Schema(type=OpenAPIType.STRING),
        )
        self.parameters = [*(self.parameters or []), signature]
        message = OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))
        self.request_body = RequestBody(content={"application/json": message}, required=True)


class Taken(msgspec.Struct, frozen=True):
    """Nothing: the provider is told no more than that we have it."""


@post(
    "/v1/{provider:str}/webhook/{connection_id:uuid}",
    status_code=200,
    operation_id="receivePaymentWebhook",
    operation_class=FromProvider,
    responses=refusals(401, 404, 429, 503),
)
async def receive_webhook(
    provider: FromPath[str],
    connection_id: FromPath[UUID],
    request: Request[Any, Any, Any],
    shop: WithShop,
    visit: WithVisit,
) -> Taken:
    """A payment provider's message about one of its invoices. It is a hint: nothing is decided from it."""
    till = await shop.tills.get(ConnectionId(connection_id))
    if till.connection.provider != provider or till.is_released:
        raise NotFound("There is no such payment connection.")
    if request.content_type[0].lower() != "application/json":
        visit.limit(Rate.BAD_WEBHOOK)
        raise UnsupportedMediaType("Send the body as application/json.")
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    visit.actor = Actor(f"provider:{provider}")
    try:
        nudge = till.till.parse_webhook(headers, body)
    except BadSignature as error:
        visit.limit(Rate.BAD_WEBHOOK)  # a stranger's share, not the provider's
        if _claims_a_signature(headers, provider):
            await _alarm(visit, till)
        raise Unauthorized("The signature does not hold.") from error
    except Malformed as error:
        visit.limit(Rate.NUDGE, till.id)
        raise BadRequest("The message cannot be read.") from error
    visit.limit(Rate.NUDGE, till.id)
    if nudge is not None:
        async with visit.work() as work:
            orders = await keep(work, till.id, nudge)
            await mark_due(work, [OrderId(order_id) for order_id in orders])
    return Taken()


def _claims_a_signature(headers: Mapping[str, str], provider: str) -> bool:
    """Whatever else reaches the path says nothing of the secrets."""
    return any(name.startswith(f"{provider}-sig") and SIGNATURE.fullmatch(value) for name, value in headers.items())


async def _alarm(visit: Visit, till: OpenTill) -> None:
    """More than two in ten minutes are no accident: the secrets have fallen out of step, or somebody is trying."""
    if visit.throttle.allows(Rate.WRONG_SIGNATURE, str(till.id), visit.now).allowed:
        return
    async with visit.work() as work:
        await work.attend(
            "webhook_secret",
            till.id,
            f"Webhooks from {till.connection.provider} come with a wrong signature. Connect it again to renew the "
            "secret. Payments are still found, a little later, by asking.",
            again=True,
        )


ROUTES = (receive_webhook,)
