"""Products, tiers and offers, as their operator writes and retires them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from keysat.catalog import offers, policies, products, shapes, tiers
from keysat.catalog import read as catalog
from keysat.catalog.views import PolicyView
from keysat.checkout import retire
from keysat.infra.work import Read
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.operators.scopes import Scope
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Cursor, Limit
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithNow, WithRead, WithVisit, WithWork
from keysat.web.wire import Active, Done, Outbound, StrictInbound

Force = Annotated[bool, QueryParameter(description="Ended orders that never sold go with it. The owner's alone.")]
TypedName = Annotated[str | None, QueryParameter(description="The slug once more, typed by a person: goes with force.")]
DELETES: dict[str, Any] = {"status_code": 200, "responses": refusals(404, 409)}


class Public(StrictInbound, frozen=True, kw_only=True):
    public: bool


class Archived(StrictInbound, frozen=True, kw_only=True):
    archived: bool


class Deleted(retire.Removed, frozen=True, kw_only=True):
    ok: bool = True
    force: bool


class ArchivedDone(Outbound, frozen=True, kw_only=True):
    ok: bool = True
    archived: bool


@post("/products", operation_id="createProduct", status_code=200, opt=CREATES, responses=refusals(404))
async def create_product(work: WithWork, data: JSONBody[products.NewProduct]) -> shapes.Product:
    """Price: `price_sats`, or `price_currency` with `price_value` in its minor unit."""
    return shapes.admin_product(await products.create(work, data))


@get("/products", operation_id="listAllProducts")
async def list_products(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    include_inactive: FromQuery[bool] = True,
) -> shapes.ProductsPage:
    """By name, inactive ones too."""
    page = await catalog.products(read, include_inactive=include_inactive, limit=limit, cursor=cursor)
    return shapes.ProductsPage([shapes.admin_product(view) for view in page.items], page.next_cursor)


@get("/products/{product_id:uuid}", operation_id="getAnyProduct", opt=TAGGED, responses=refusals(404))
async def get_product(read: WithRead, product_id: FromPath[UUID]) -> shapes.Product:
    """One product, with all its metadata."""
    return shapes.admin_product(await catalog.product(read, product_id))


@patch(
    "/products/{product_id:uuid}", operation_id="editProduct", opt=edits(get_product), responses=refusals(404, 409, 422)
)
async def edit_product(
    work: WithWork, product_id: FromPath[UUID], data: JSONBody[products.ProductEdit]
) -> shapes.Product:
    """An absent field stays, null clears. Another currency wants every tier's and offer's price in `tier_prices`."""
    return shapes.admin_product(await products.edit(work, product_id, data))


@patch(
    "/products/{product_id:uuid}/active",
    operation_id="setProductActive",
    opt=edits(get_product),
    responses=refusals(404),
)
async def set_product_active(work: WithWork, product_id: FromPath[UUID], data: JSONBody[Active]) -> Done:
    """An inactive product is neither shown nor sold; what was sold goes on."""
    await products.set_active(work, product_id, data.active)
    return Done()


@delete("/products/{product_id:uuid}", operation_id="deleteProduct", opt=edits(get_product), **DELETES)
async def delete_product(
    work: WithWork, visit: WithVisit, product_id: FromPath[UUID], force: Force = False, name: TypedName = None
) -> Deleted:
    """With its tiers, if nobody ordered it. What was sold, or can still be paid for, is refused and counted."""
    if force:
        visit.need(Scope.OWNER)
    removed = await retire.delete_product(work, product_id, force, name)
    return Deleted(**msgspec.structs.asdict(removed), force=force)


@get("/products/{product_id:uuid}/deletion", operation_id="planProductDeletion", responses=refusals(404))
async def plan_product_deletion(read: WithRead, now: WithNow, product_id: FromPath[UUID]) -> retire.Deletion:
    """What deleting it would take along, and whether it goes: ask this before."""
    return await retire.deletion_of_product(read, product_id, now)


@post("/policies", operation_id="createPolicy", status_code=200, opt=CREATES, responses=refusals(404))
async def create_policy(work: WithWork, now: WithNow, data: JSONBody[policies.NewPolicy]) -> shapes.Policy:
    """`price_sats_override` is in the minor unit of the product's currency; null takes the product's price."""
    return await _policy(work, await policies.create(work, data), now)


@get("/policies", operation_id="listPolicies", responses=refusals(404))
async def list_policies(
    read: WithRead,
    now: WithNow,
    product_slug: FromQuery[str],
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    include_inactive: FromQuery[bool] = False,
    include_archived: FromQuery[bool] = False,
) -> shapes.Policies:
    """The tiers of one product, private ones too, by effective price."""
    product = await catalog.product_by_slug(read, product_slug)
    found = await catalog.policies(read, product, include_inactive=include_inactive, include_archived=include_archived)
    page = tiers.page(product, found, limit, cursor, (include_inactive, include_archived))
    return shapes.Policies([shapes.admin_policy(product, policy, now) for policy in page.items], page.next_cursor)


@get("/policies/{policy_id:uuid}", operation_id="getPolicy", opt=TAGGED, responses=refusals(404))
async def get_policy(read: WithRead, now: WithNow, policy_id: FromPath[UUID]) -> shapes.Policy:
    """One tier, with its offers."""
    return await _policy(read, await catalog.policy(read, policy_id), now)


@patch("/policies/{policy_id:uuid}", operation_id="editPolicy", opt=edits(get_policy), responses=refusals(404))
async def edit_policy(
    work: WithWork,
    now: WithNow,
    policy_id: FromPath[UUID],
    data: JSONBody[policies.PolicyEdit],
) -> shapes.Policy:
    """An absent field stays, null clears. Holds for what is sold from now on."""
    return await _policy(work, await policies.edit(work, policy_id, data), now)


@patch(
    "/policies/{policy_id:uuid}/active", operation_id="setPolicyActive", opt=edits(get_policy), responses=refusals(404)
)
async def set_policy_active(work: WithWork, policy_id: FromPath[UUID], data: JSONBody[Active]) -> Done:
    """An inactive tier is neither shown nor sold."""
    await policies.set_active(work, policy_id, data.active)
    return Done()


@patch(
    "/policies/{policy_id:uuid}/public", operation_id="setPolicyPublic", opt=edits(get_policy), responses=refusals(404)
)
async def set_policy_public(work: WithWork, policy_id: FromPath[UUID], data: JSONBody[Public]) -> Done:
    """A private tier is given by the operator only."""
    await policies.set_public(work, policy_id, data.public)
    return Done()


@patch(
    "/policies/{policy_id:uuid}/archived",
    operation_id="setPolicyArchived",
    opt=edits(get_policy),
    responses=refusals(404),
)
async def set_policy_archived(work: WithWork, policy_id: FromPath[UUID], data: JSONBody[Archived]) -> ArchivedDone:
    """An archived tier is hidden and no longer sold; what was sold goes on."""
    await policies.set_archived(work, policy_id, data.archived)
    return ArchivedDone(archived=data.archived)


@delete("/policies/{policy_id:uuid}", operation_id="deletePolicy", opt=edits(get_policy), **DELETES)
async def delete_policy(
    work: WithWork, visit: WithVisit, policy_id: FromPath[UUID], force: Force = False, name: TypedName = None
) -> Deleted:
    """With its offers, if nobody ordered it. What was sold, or can still be paid for, is refused and counted."""
    if force:
        visit.need(Scope.OWNER)
    removed = await retire.delete_policy(work, policy_id, force, name)
    return Deleted(**msgspec.structs.asdict(removed), force=force)


@get("/policies/{policy_id:uuid}/deletion", operation_id="planPolicyDeletion", responses=refusals(404))
async def plan_policy_deletion(read: WithRead, now: WithNow, policy_id: FromPath[UUID]) -> retire.Deletion:
    """What deleting it would take along, and whether it goes: ask this before."""
    return await retire.deletion_of_policy(read, policy_id, now)


@post(
    "/policies/{policy_id:uuid}/offers",
    operation_id="createOffer",
    status_code=200,
    opt=CREATES,
    responses=refusals(404),
)
async def create_offer(work: WithWork, policy_id: FromPath[UUID], data: JSONBody[offers.NewOffer]) -> shapes.Offer:
    """Another price and period of the tier. Without a period it has the tier's."""
    return shapes.admin_offer(await offers.create(work, policy_id, data))


@get("/policies/{policy_id:uuid}/offers", operation_id="listOffers", responses=refusals(404))
async def list_offers(
    read: WithRead, policy_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> shapes.Offers:
    """Of one tier, by slug, those that are not sold too."""
    page = await catalog.offers(read, policy_id, limit, cursor)
    return shapes.Offers([shapes.admin_offer(offer) for offer in page.items], page.next_cursor)


@get("/policies/{policy_id:uuid}/offers/{offer_id:uuid}", operation_id="getOffer", opt=TAGGED, responses=refusals(404))
async def get_offer(read: WithRead, policy_id: FromPath[UUID], offer_id: FromPath[UUID]) -> shapes.Offer:
    """One offer of the tier."""
    return shapes.admin_offer(await catalog.offer(read, offer_id, policy_id))


@patch(
    "/policies/{policy_id:uuid}/offers/{offer_id:uuid}",
    operation_id="editOffer",
    opt=edits(get_offer),
    responses=refusals(404),
)
async def edit_offer(
    work: WithWork, policy_id: FromPath[UUID], offer_id: FromPath[UUID], data: JSONBody[offers.OfferEdit]
) -> shapes.Offer:
    """Its price, and whether it is sold: another period is another offer."""
    return shapes.admin_offer(await offers.edit(work, policy_id, offer_id, data))


@delete(
    "/policies/{policy_id:uuid}/offers/{offer_id:uuid}",
    operation_id="deleteOffer",
    status_code=200,
    opt=edits(get_offer),
    responses=refusals(404, 409),
)
async def delete_offer(work: WithWork, policy_id: FromPath[UUID], offer_id: FromPath[UUID]) -> Done:
    """Refused once it was sold: set it inactive then."""
    await offers.delete_offer(work, policy_id, offer_id)
    return Done()


async def _policy(read: Read, policy: PolicyView, now: datetime) -> shapes.Policy:
    return shapes.admin_policy(await catalog.product(read, policy.product_id), policy, now)


PRODUCTS = (
    create_product,
    list_products,
    get_product,
    edit_product,
    set_product_active,
    plan_product_deletion,
    delete_product,
)
TIERS = (
    create_policy,
    list_policies,
    get_policy,
    edit_policy,
    set_policy_active,
    set_policy_public,
    set_policy_archived,
    plan_policy_deletion,
    delete_policy,
    create_offer,
    list_offers,
    get_offer,
    edit_offer,
    delete_offer,
)
