"""Codes, for programs: what one would cost, and a free license for one (public contract 3.9 and 3.10)."""

from typing import Annotated

from litestar import get, post
from litestar.openapi.spec import Example
from litestar.params import FromQuery, JSONBody, QueryParameter

from keysat.checkout.order import purchase
from keysat.checkout.preview import Preview, preview
from keysat.checkout.read import purchased
from keysat.checkout.redemptions import redemption_of
from keysat.checkout.trials import unlimited
from keysat.checkout.wish import Wish
from keysat.kit.errors import BadRequest
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.throttle import Rate
from keysat.web.visit import limited
from keysat.web.wire import NO_NUL, Inbound, Line, Outbound, Paragraph

Code = Annotated[str, QueryParameter(max_length=255, pattern=NO_NUL, examples=[Example(value="SPRING")])]
Slug = Annotated[str, QueryParameter(max_length=255, pattern=NO_NUL, examples=[Example(value="aurora")])]


class RedeemRequest(Inbound, frozen=True, kw_only=True):
    """An empty text counts as absent. Without a tier, a code that is for certain tiers gives the first of these."""

    product: Line
    code: Line
    policy_slug: Line | None = None
    offer: Line | None = None
    buyer_email: Line | None = None
    buyer_note: Paragraph | None = None


class Redeemed(Outbound, frozen=True, kw_only=True):
    """`invoice_id` opens the key at `GET /v1/purchase/{invoice_id}`, like that of a purchase."""

    license_id: str
    license_key: str
    invoice_id: str
    redemption_id: str


@get(
    "/v1/discount-codes/preview",
    operation_id="previewCode",
    guards=[limited(Rate.PREVIEW)],
    responses=refusals(404, 429, 502),
)
async def preview_code(
    visit: WithVisit,
    code: Code,
    product: Slug,
    policy_slug: FromQuery[Line | None] = None,
    offer: FromQuery[Line | None] = None,
) -> Preview:
    """What a purchase with this code would cost now. Uses nothing up; a code that does not apply is no error."""
    return await preview(visit.desk, code, product, policy_slug or None, offer or None)


@post(
    "/v1/redeem",
    status_code=200,
    operation_id="redeemCode",
    opt=CREATES,
    guards=[limited(Rate.PURCHASE)],
    responses=refusals(404, 429, 502),
)
async def redeem_code(data: JSONBody[RedeemRequest], shop: WithShop, visit: WithVisit) -> Redeemed:
    """A license for a code that makes it free. A code that leaves something to pay `requires payment`: purchase."""
    if not data.code.strip():
        raise BadRequest("The code is blank. Type one.")
    wish = Wish(
        product=data.product,
        policy_slug=data.policy_slug or None,
        offer=data.offer or None,
        code=data.code,
        buyer_email=data.buyer_email or None,
        buyer_note=data.buyer_note or None,
        only_free=True,
    )
    order_id = await purchase(visit.desk, wish, unlimited)
    async with shop.read() as read:
        made = await purchased(read, shop.ring, order_id, shop.settings.public_url)
        used = await redemption_of(read, order_id)
    return Redeemed(
        license_id=str(made.license_id or ""),
        license_key=str(made.license_key or ""),
        invoice_id=made.invoice_id,
        redemption_id=str(used.id) if used else "",
    )


ROUTES = (preview_code, redeem_code)
