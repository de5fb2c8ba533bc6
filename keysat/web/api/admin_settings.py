"""What the shop calls itself, and how large its database has become."""

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta

from keysat.operators.scopes import Scope
from keysat.upkeep.operator_name import rename
from keysat.upkeep.volume import Database, database
from keysat.web.auth import needs
from keysat.web.provide import WithRead, WithShop, WithVisit
from keysat.web.wire import Line, Outbound, StrictInbound


class OperatorName(Outbound, frozen=True, kw_only=True):
    """`stored` here, else `fallback_env` of the settings, is `effective`. Null: none."""

    stored: str | None
    effective: str | None
    fallback_env: str | None


class Naming(StrictInbound, frozen=True, kw_only=True):
    """Null or empty: back to what the settings say."""

    name: Annotated[Line, Meta(examples=["Ada & Sons"])] | None


class Named(Outbound, frozen=True, kw_only=True):
    ok: bool = True
    operator_name: str | None


@get("/settings/operator-name", operation_id="getOperatorName")
async def get_operator_name(shop: WithShop) -> OperatorName:
    """As pages and letters show it, where no merchant profile has a name of its own."""
    return OperatorName(
        stored=shop.nameplate.stored, effective=shop.operator_name, fallback_env=shop.settings.operator_name
    )


@post("/settings/operator-name", operation_id="setOperatorName", status_code=200, opt=needs(Scope.OWNER))
async def set_operator_name(shop: WithShop, visit: WithVisit, data: JSONBody[Naming]) -> Named:
    """Shown from now on, here and, half a minute later, by every other daemon of this shop."""
    async with visit.work() as work:
        await rename(work, data.name)
    await shop.nameplate.read_again(shop.store)
    return Named(operator_name=shop.operator_name)


@get("/db-info", operation_id="getDatabase", opt=needs(Scope.OWNER))
async def get_database(shop: WithShop, read: WithRead) -> Database:
    """How large it is, and how much stands in it."""
    return await database(read, shop.store)


ROUTES = (get_operator_name, set_operator_name, get_database)
