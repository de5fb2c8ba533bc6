"""What is kept: all of it for the owner, what is kept about one customer for that customer, and erasing it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath
from litestar.response import Stream

from keysat.customers.tables import Customer
from keysat.operators.scopes import Scope
from keysat.upkeep.export import stream
from keysat.upkeep.happenings import CustomerExported
from keysat.upkeep.person import personal_data
from keysat.web.auth import needs
from keysat.web.erasing import erase_customer
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit, WithWork
from keysat.web.wire import Outbound


class PersonalData(Outbound, frozen=True, kw_only=True):
    """`tables` are rows by the name of their table, as in the export of everything."""

    made_at: datetime
    customer_id: UUID
    tables: dict[str, list[dict[str, Any]]]


class Erased(Outbound, frozen=True, kw_only=True):
    ok: bool = True
    customer_id: UUID
    erased_at: datetime | None


@get("/export", opt=needs(Scope.OWNER), include_in_schema=False)
async def export_everything(visit: WithVisit) -> Stream:
    """Lines of `{"table": ..., "row": {...}}`, as many as the shop has rows: no answer that one shape describes."""
    return Stream(stream(visit.shop, visit.actor), media_type="application/x-ndjson")


@get("/customers/{customer_id:uuid}/export", operation_id="exportCustomer", responses=refusals(404))
async def export_customer(work: WithWork, customer_id: FromPath[UUID]) -> PersonalData:
    """All that is kept about a customer. That it was asked for is recorded."""
    found = await personal_data(work, customer_id)
    work.record(CustomerExported(customer_id))
    return PersonalData(made_at=work.now, customer_id=customer_id, tables=found)


@post(
    "/customers/{customer_id:uuid}/erase",
    operation_id="eraseCustomer",
    status_code=200,
    opt=needs(Scope.OWNER),
    responses=refusals(404, 409),
)
async def erase_one(work: WithWork, shop: WithShop, customer_id: FromPath[UUID]) -> Erased:
    """Address, name, notes and from where they acted go for ever; the books and the keys stay.

    Refused while money is on its way or a subscription may still be billed. A second time does no harm.
    """
    await erase_customer(work, shop.vault, customer_id)
    row = await work.get(Customer, customer_id)
    return Erased(customer_id=customer_id, erased_at=row.erased_at)


ROUTES = (export_everything, export_customer, erase_one)
