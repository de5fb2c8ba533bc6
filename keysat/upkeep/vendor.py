"""Who sells this program to sellers, where a distributor built somebody in; as shipped, nobody.

A distribution brings a `Vendor` as the entry point `vendor` of the group `keysat.vendor`. The program is then licensed
by its own kind of key (`self_license.py`). Source: `published-server.md` 9.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from uuid import UUID

from keysat.infra.edition import Cap, Edition

GROUP = "keysat.vendor"


@dataclass(frozen=True, slots=True)
class Gate:
    most: int
    """Without a license; 0 where there is none of it then."""
    lifted_by: str
    """The entitlement that takes the limit away."""


@dataclass(frozen=True, slots=True)
class Label:
    """An edition as a name: it goes to who holds the entitlement. What it lets one do, each gate decides by itself."""

    slug: str
    name: str
    entitlement: str | None = None


@dataclass(frozen=True, slots=True)
class Vendor:
    public_key: bytes
    """Ed25519, 32 bytes."""
    gates: Mapping[Cap, Gate]
    labels: tuple[Label, ...]
    """From the least to the most; the first needs no entitlement."""
    upgrade_url: str
    """`{edition}` in it becomes the slug of the next one."""
    product_id: UUID | None = None
    """None: a key of any product of the vendor's counts."""

    def edition(self, entitlements: Collection[str]) -> Edition:
        label = [label for label in self.labels if label.entitlement in {None, *entitlements}][-1]
        following = self.after(label.slug)
        return Edition(
            slug=label.slug,
            name=label.name,
            caps={cap: gate.most for cap, gate in self.gates.items() if gate.lifted_by not in entitlements},
            entitlements=tuple(entitlements),
            upgrade_url=self.upgrade_url.replace("{edition}", following.slug) if following else None,
        )

    def after(self, edition: str) -> Label | None:
        """The next more capable one; `edition` is a slug."""
        slugs = [label.slug for label in self.labels]
        following = self.labels[slugs.index(edition) + 1 :]
        return following[0] if following else None


@cache
def vendor() -> Vendor | None:
    for point in entry_points(group=GROUP):
        found = point.load()
        assert isinstance(found, Vendor)  # noqa: S101  a distribution that is put together wrong
        return found
    return None
