"""What happens to the shop as a whole, in the past tense."""

from datetime import datetime
from uuid import UUID

from keysat.infra.events import Happening
from keysat.infra.house import Mode


class ShopSetUp(Happening, frozen=True, tag="shop.set_up"):
    mode: Mode


class OperatorNamed(Happening, frozen=True, tag="shop.named"):
    fact: str
    is_own: bool  # else the one of the settings holds again


class SelfLicensed(Happening, frozen=True, tag="shop.licensed"):
    license_id: UUID  # of the license that the shop itself holds
    product_id: UUID


class SelfLicenseDropped(Happening, frozen=True, tag="shop.license_dropped"):
    fact: str


class ShopBackedUp(Happening, frozen=True, tag="shop.backed_up"):
    mode: Mode
    schema: str
    rows: int


class ShopRestored(Happening, frozen=True, tag="shop.restored"):
    """From a backup of then: what happened between is not known here."""

    mode: Mode
    made_at: datetime


class ShopExported(Happening, frozen=True, tag="shop.exported"):
    mode: Mode


class CustomerExported(Happening, frozen=True, tag="customer.exported"):
    customer_id: UUID


class CustomerErased(Happening, frozen=True, tag="customer.erased"):
    customer_id: UUID


class ShopImported(Happening, frozen=True, tag="shop.imported"):
    issuer_key_id: UUID  # of the key that signed what came
    brought: dict[str, int]  # how many of each kind
    changed: dict[str, int]  # what an earlier import had brought, by what was done with it
    left: int  # rows that made no sense
