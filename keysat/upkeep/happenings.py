"""What happens to the shop as a whole, in the past tense."""

from uuid import UUID

from keysat.infra.events import Happening
from keysat.infra.house import Mode


class ShopSetUp(Happening, frozen=True, tag="shop.set_up"):
    mode: Mode


class SelfLicensed(Happening, frozen=True, tag="shop.licensed"):
    license_id: UUID  # of the license that the shop itself holds
    product_id: UUID


class SelfLicenseDropped(Happening, frozen=True, tag="shop.license_dropped"):
    fact: str
