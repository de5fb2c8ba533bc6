"""Keysat licenses Keysat, where a distributor built a vendor in (`published-server.md` 9)."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from nacl.signing import SigningKey
from sqlalchemy import func, select

from keysat.catalog import products
from keysat.catalog.products import NewProduct
from keysat.catalog.tables import Product
from keysat.daemon import warnings
from keysat.infra.edition import Cap, Edition
from keysat.infra.house import Mode
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.kit.errors import TierCap
from keysat.kit.licensekey import UNBOUND_HASH, Payload, assemble, encode
from keysat.upkeep.self_license import refresh_edition
from keysat.upkeep.vendor import Gate, Label, Vendor
from tests.conftest import NOON, TESTER
from tests.web.conftest import ADMIN
from tests.web.selling import Front, open_front

SELLER = SigningKey(bytes(range(32)))
PRODUCT = UUID(int=7)
VENDOR = Vendor(
    public_key=bytes(SELLER.verify_key),
    gates={
        Cap.PRODUCTS: Gate(2, "unlimited_products"),
        Cap.POLICIES: Gate(2, "unlimited_policies"),
        Cap.CODES: Gate(1, "unlimited_codes"),
        Cap.RECURRING: Gate(0, "recurring_billing"),
    },
    labels=(
        Label("creator", "Creator"),
        Label("pro", "Pro", "unlimited_products"),
        Label("patron", "Patron", "patron"),
    ),
    upgrade_url="https://keysat.test/buy/keysat?policy={edition}",
    product_id=PRODUCT,
)


def key(*entitlements: str, product: UUID = PRODUCT, ends: datetime | None = None, signer: SigningKey = SELLER) -> str:
    payload = encode(
        Payload(
            version=2,
            flags=0,
            product_id=product,
            license_id=UUID(int=9),
            issued_at=int(NOON.timestamp()),
            expires_at=int(ends.timestamp()) if ends else 0,
            fingerprint_hash=UNBOUND_HASH,
            entitlements=entitlements,
        )
    )
    return assemble(payload, signer.sign(payload).signature)


@pytest.fixture
async def front(store: Store, tmp_path: Path) -> AsyncGenerator[Front, None]:
    """A shop with one product, built by a vendor and not licensed."""
    async with open_front(store, tmp_path, vendor=VENDOR) as front:
        front.http.headers.update(ADMIN | {"accept": "application/json"})
        await refresh_edition(front.shop, front.counter.now)
        yield front


async def ask(front: Front, method: str, path: str, **body: Any) -> dict[str, Any]:
    answer = await front.http.request(method, f"/v1/admin{path}", json=body or None)
    return {"status": answer.status_code} | answer.json()


async def test_what_an_edition_allows_and_what_a_license_adds(front: Front) -> None:  # D-13, D-28
    tier = await ask(front, "GET", "/tier")
    assert (tier["tier"], tier["usage"]["products"], tier["caps"]["products"]) == ("creator", 1, 2)
    assert (tier["next_tier"], tier["caps"]["merchant_profiles"]) == ("pro", None)

    assert (await ask(front, "POST", "/products", slug="b", name="B", price_sats=1))["status"] == 200
    refused = await ask(front, "POST", "/products", slug="c", name="C", price_sats=1)
    assert (refused["status"], refused["error"]) == (402, "tier_cap")
    assert refused["upgrade_url"] == "https://keysat.test/buy/keysat?policy=pro"

    monthly = {"product_slug": "b", "slug": "m", "name": "M", "is_recurring": True, "renewal_period_days": 30}
    assert (await ask(front, "POST", "/policies", **monthly))["error"] == "tier_cap"
    once = await ask(front, "POST", "/policies", product_slug="b", slug="o", name="O")
    assert once["status"] == 200
    turned = await ask(front, "PATCH", f"/policies/{once['id']}", is_recurring=True, renewal_period_days=30)
    assert turned["error"] == "tier_cap"

    first = await ask(front, "POST", "/discount-codes", code="ONE", kind="percent", amount=1000)
    off = {"active": False}
    assert (await ask(front, "PATCH", f"/discount-codes/{first['id']}/active", **off))["status"] == 200
    assert (await ask(front, "POST", "/discount-codes", code="TWO", kind="percent", amount=1000))["status"] == 200
    enabled = await ask(front, "PATCH", f"/discount-codes/{first['id']}/active", active=True)
    assert enabled["error"] == "tier_cap"  # switching one on counts like making one

    licensed = await ask(front, "POST", "/self-license", license_key=key("unlimited_products", "recurring_billing"))
    assert (licensed["tier"], licensed["license_id"]) == ("licensed", str(UUID(int=9)))
    assert (await ask(front, "POST", "/products", slug="c", name="C", price_sats=1))["status"] == 200
    assert (await ask(front, "POST", "/policies", **monthly))["status"] == 200
    capped = await ask(front, "POST", "/discount-codes", code="THREE", kind="percent", amount=1000)
    assert capped["error"] == "tier_cap"  # each gate asks for its own entitlement

    assert (await ask(front, "DELETE", "/self-license"))["tier"] == "unlicensed"
    assert (await ask(front, "GET", "/tier"))["usage"]["products"] == 3  # what is there stays
    assert (await ask(front, "POST", "/products", slug="d", name="D", price_sats=1))["error"] == "tier_cap"


@pytest.mark.once
async def test_only_a_good_key_of_the_vendors_counts(front: Front) -> None:
    wrong = {
        "LIC1-AAAA-BBBB": "no license key",
        key("patron", signer=SigningKey(bytes(32))): "not signed by",
        key("patron", product=UUID(int=8)): "another product",
        key("patron", ends=front.counter.now): "expired",
    }
    for presented, words in wrong.items():
        refused = await ask(front, "POST", "/self-license", license_key=presented)
        assert (refused["status"], words in refused["message"]) == (400, True), refused
    assert (await ask(front, "GET", "/self-license"))["tier"] == "unlicensed"

    ends = front.counter.now + timedelta(days=1)
    assert (await ask(front, "POST", "/self-license", license_key=key("patron", ends=ends)))["tier"] == "licensed"
    assert (await refresh_edition(front.shop, ends - timedelta(seconds=1))).slug == "patron"
    assert (await refresh_edition(front.shop, ends)).slug == "creator"  # nobody is stopped, only the caps are back


async def test_of_many_who_see_the_last_free_place_one_gets_it(store: Store) -> None:  # D-35
    store.edition = Edition("small", "Small", {Cap.PRODUCTS: 2})

    async def make(number: int) -> bool:
        try:
            async with store.work(NOON, TESTER) as work:
                await products.create(work, NewProduct(slug=f"p{number}", name="P", price_sats=1))
        except TierCap:
            return False
        return True

    made = await asyncio.gather(*(make(number) for number in range(8)))
    async with store.read() as read:
        standing = await read.session.scalar(select(func.count()).select_from(Product))
    assert (sum(made), standing) == (2, 2)


@pytest.mark.once
def test_without_a_vendor_a_license_is_told_to_have_no_effect() -> None:
    settings = load({"KEYSAT_LICENSE": "LIC1-A-B", "KEYSAT_PUBLIC_URL": "https://shop.test"})
    assert any("KEYSAT_LICENSE" in line for line in warnings(settings, Mode.SANDBOX))
    assert not any("KEYSAT_LICENSE" in line for line in warnings(settings, Mode.SANDBOX, has_vendor=True))
