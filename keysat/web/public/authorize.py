"""Where a provider's own page sends the operator back to, with the key that was made for this shop.

The browser comes from another site, so no cookie of ours comes with it: the state in the address is all there is
(`payment-rails.md` 1.10). It is spent by the first who brings it, whatever comes of it.
"""

from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, URLEncodedBody
from msgspec import Meta

from keysat.kit.errors import BadRequest, KeysatError, Unauthorized
from keysat.payments.authorize import Refused, finish
from keysat.payments.tables import ConnectionRow, MerchantProfile
from keysat.upkeep.tills import refresh_tills
from keysat.web.connecting import selling, trusted_now
from keysat.web.html import page
from keysat.web.provide import WithVisit
from keysat.web.security import SECRET_PAGE
from keysat.web.throttle import Rate
from keysat.web.visit import Visit, limited

PATH = "/v1/{provider:str}/authorize/callback"
TYPED_MAX = 500


class Brought(msgspec.Struct, frozen=True, rename="camel"):
    """What BTCPay's form brings. What the key may do, it is asked itself."""

    api_key: Annotated[str, Meta(max_length=TYPED_MAX)] = ""


@post(PATH, status_code=200, include_in_schema=False, guards=[limited(Rate.PURCHASE)])
async def come_back(
    provider: FromPath[str], data: URLEncodedBody[Brought], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[str]:
    return await _finished(visit, provider, request.query_params.get("state", ""), data.api_key)


@get(PATH, include_in_schema=False, guards=[limited(Rate.PURCHASE)])
async def come_back_by_address(
    provider: FromPath[str], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[str]:
    """As other releases of BTCPay do, and as it tells that it was declined."""
    query = request.query_params
    if query.get("error"):
        return _refused(visit, BadRequest("BTCPay says that it was not allowed. Nothing was changed here."))
    return await _finished(visit, provider, query.get("state", ""), query.get("apiKey", "")[:TYPED_MAX])


async def _finished(visit: Visit, provider: str, state: str, api_key: str) -> Response[str]:
    shop = visit.shop
    if not api_key:
        return _refused(visit, BadRequest("No API key came back. Begin to connect again."))
    try:
        made = await finish(visit.office, provider, state, api_key, partial(trusted_now, visit))
    except Refused as refused:
        return _refused(visit, refused.reason, key_is_gone=refused.key_is_gone)
    except (BadRequest, Unauthorized) as error:
        return _refused(visit, error, key_is_gone=False)
    await refresh_tills(shop)
    async with shop.read() as read:
        row = await read.get(ConnectionRow, made)
        profile = await read.session.get(MerchantProfile, row.merchant_profile_id)
        first = next(iter(await selling(read, profile)), row)
    return page(
        visit, "authorize.html", headers=SECRET_PAGE, connection=row, first=first, profile=profile, key_is_gone=None
    )


def _refused(visit: Visit, error: KeysatError, *, key_is_gone: bool | None = None) -> Response[str]:
    """`key_is_gone` None: there was none."""
    return page(
        visit,
        "authorize.html",
        trouble=error,
        headers=SECRET_PAGE,
        connection=None,
        profile=None,
        key_is_gone=key_is_gone,
    )


ROUTES = (come_back, come_back_by_address)
