"""Customers, as the operator finds and edits them."""

from typing import Annotated
from uuid import UUID

from litestar import get, patch
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from keysat.checkout.history import orders_of_customer
from keysat.customers.accounts import NAME_MAX, NOTE_MAX, CustomerEdit, edit, normal_email
from keysat.customers.read import CustomerRow, customer_row, customers, customers_beginning
from keysat.customers.tables import Customer as CustomerTable
from keysat.infra.work import Read
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.licenses.read import LicenseFilter, list_licenses
from keysat.subscriptions.read import SubscriptionFilter, list_subscriptions
from keysat.web.api.license_shapes import License, OrderOf, in_short, joined
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Address, Cursor, Limit
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithWork
from keysat.web.wire import NO_NUL, Line, Outbound, StrictInbound

FIRST = 50
Beginning = Annotated[
    str | None, QueryParameter(min_length=1, max_length=254, pattern=NO_NUL, description="Of the address, or the name.")
]


class CustomerBody(StrictInbound, frozen=True, kw_only=True):
    """An absent field stays, null clears. An address that another customer has is refused (409)."""

    email: Annotated[Line, Meta(examples=["ann@example.org"])] | UnsetType | None = UNSET
    name: Annotated[str, Meta(max_length=NAME_MAX, pattern=NO_NUL, examples=["Ann Ames"])] | UnsetType | None = UNSET
    note: Annotated[str, Meta(max_length=NOTE_MAX, pattern=NO_NUL)] | UnsetType | None = UNSET


class Customers(Outbound, frozen=True, kw_only=True):
    customers: list[CustomerRow]
    next_cursor: str | None


class CustomerDetail(CustomerRow, frozen=True, kw_only=True):
    """With the latest 50 of each; `next_*_cursor` goes on in the list of licenses with this `customer_id`."""

    licenses: list[License]
    next_licenses_cursor: str | None
    orders: tuple[OrderOf, ...]
    subscription_ids: list[UUID]


@get("/customers", operation_id="listCustomers")
async def find_customers(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    email: Address = None,
    q: Beginning = None,
) -> Customers:
    """The newest first; with `q`, those whose address or name begins so, in that order."""
    words = (q or "").strip()
    if words and email is None:
        page = await customers_beginning(read, words, limit, cursor)
    else:
        page = await customers(read, limit, cursor, email_normal=normal_email(email) if email is not None else None)
    return Customers(customers=page.items, next_cursor=page.next_cursor)


@get("/customers/{customer_id:uuid}", operation_id="getCustomer", opt=TAGGED, responses=refusals(404))
async def get_customer(read: WithRead, customer_id: FromPath[UUID]) -> CustomerDetail:
    """With the licenses, orders and subscriptions that are theirs."""
    return await _detail(read, customer_id)


@patch(
    "/customers/{customer_id:uuid}", operation_id="editCustomer", opt=edits(get_customer), responses=refusals(404, 409)
)
async def edit_customer(work: WithWork, customer_id: FromPath[UUID], data: JSONBody[CustomerBody]) -> CustomerDetail:
    """Documents that were issued keep what they say."""
    await edit(work, customer_id, CustomerEdit(email=data.email, name=data.name, note=data.note))
    return await _detail(work, customer_id)


async def _detail(read: Read, customer_id: UUID) -> CustomerDetail:
    row = customer_row(await read.get(CustomerTable, customer_id))
    held = await list_licenses(read, LicenseFilter(customer_id=customer_id), FIRST)
    renewing = await list_subscriptions(read, SubscriptionFilter(customer_id=customer_id), FIRST)
    return CustomerDetail(
        **asdict(row),
        licenses=await joined(read, held.items),
        next_licenses_cursor=held.next_cursor,
        orders=in_short(await orders_of_customer(read, customer_id, most=FIRST)),
        subscription_ids=[one.id for one in renewing.items],
    )


ROUTES = (find_customers, get_customer, edit_customer)
