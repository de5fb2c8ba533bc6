"""What happens to the shop as a whole, in the past tense."""

from keysat.infra.events import Happening
from keysat.infra.house import Mode


class ShopSetUp(Happening, frozen=True, tag="shop.set_up"):
    mode: Mode
