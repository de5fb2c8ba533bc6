"""What happens in the catalog. Bodies hold ids, slugs, codes and amounts in minor units, no free text."""

from keysat.catalog.tables import DiscountId, DiscountKind, OfferId, PolicyId, ProductId
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


class CodeCreated(Happening, frozen=True, tag="code.created"):
    """`amount` is basis points where there is no currency."""

    code_id: DiscountId
    code: str
    kind: DiscountKind
    amount: int
    currency: str | None
    product_id: ProductId | None


class CodeUpdated(Happening, frozen=True, tag="code.updated"):
    code_id: DiscountId
    code: str
    amount: int
    currency: str | None
    active: bool
    changed: list[str]


class CodeDeleted(Happening, frozen=True, tag="code.deleted"):
    code_id: DiscountId
    code: str
