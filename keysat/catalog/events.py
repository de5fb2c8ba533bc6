"""What happens in the catalog. Bodies hold ids, slugs, codes and amounts in minor units, no free text."""

from keysat.catalog.tables import OfferId, PolicyId, ProductId
from keysat.infra.events import Happening


class ProductCreated(Happening, frozen=True, tag="product.created"):
    product_id: ProductId
    slug: str
    price_currency: str
    price_value: int


class ProductUpdated(Happening, frozen=True, tag="product.updated"):
    """`changed` names fields. The price is the one that holds from now on."""

    product_id: ProductId
    slug: str
    price_currency: str
    price_value: int
    active: bool
    changed: list[str]


class ProductDeleted(Happening, frozen=True, tag="product.deleted"):
    product_id: ProductId
    slug: str


class PolicyCreated(Happening, frozen=True, tag="policy.created"):
    policy_id: PolicyId
    product_id: ProductId
    slug: str
    price_value: int | None


class PolicyUpdated(Happening, frozen=True, tag="policy.updated"):
    policy_id: PolicyId
    product_id: ProductId
    slug: str
    price_value: int | None
    active: bool
    public: bool
    changed: list[str]


class PolicyArchived(Happening, frozen=True, tag="policy.archived"):
    policy_id: PolicyId
    product_id: ProductId
    slug: str


class PolicyUnarchived(Happening, frozen=True, tag="policy.unarchived"):
    policy_id: PolicyId
    product_id: ProductId
    slug: str


class PolicyDeleted(Happening, frozen=True, tag="policy.deleted"):
    policy_id: PolicyId
    product_id: ProductId
    slug: str


class OfferCreated(Happening, frozen=True, tag="offer.created"):
    offer_id: OfferId
    policy_id: PolicyId
    slug: str
    price_value: int


class OfferUpdated(Happening, frozen=True, tag="offer.updated"):
    offer_id: OfferId
    policy_id: PolicyId
    slug: str
    price_value: int
    active: bool
    changed: list[str]


class OfferDeleted(Happening, frozen=True, tag="offer.deleted"):
    offer_id: OfferId
    policy_id: PolicyId
    slug: str
