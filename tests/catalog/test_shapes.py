import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from keysat.catalog import offers, read, shapes
from keysat.infra.store import Store
from tests.catalog.shelf import a_product, a_tier
from tests.conftest import NOON, TESTER

pytestmark = pytest.mark.once


def as_json(shape: msgspec.Struct) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(shape))


async def test_a_product_shows_the_world_only_its_public_metadata(store: Store):
    quiet = await a_product(store, "quiet", metadata={"cost": 12})
    open_ = await a_product(store, "open", metadata={"cost": 12, "public": {"home": "https://app.test"}})
    odd = await a_product(store, "odd", metadata={"public": "yes"})
    assert [shapes.public_product(one).metadata for one in (quiet, open_, odd)] == [
        {},
        {"home": "https://app.test"},
        {},
    ]
    assert shapes.admin_product(quiet).metadata == {"cost": 12}


async def test_a_product_in_sats_and_one_in_fiat(store: Store):
    sats, fiat = await a_product(store), await a_product(store, "fiat", price_currency="EUR", price_value=4900)
    assert as_json(shapes.public_product(sats)) == {
        "id": str(sats.id),
        "slug": "app",
        "name": "App",
        "description": "",
        "price_sats": 5000,
        "price_currency": "SAT",
        "price_value": 5000,
        "active": True,
        "downgrade_at_renewal": False,
        "metadata": {},
        "entitlements_catalog": None,
        "merchant_profile_id": None,
        "created_at": "2026-01-15T12:00:00Z",
        "updated_at": "2026-01-15T12:00:00Z",
    }
    shown = shapes.public_product(fiat)
    assert (shown.price_sats, shown.price_currency, shown.price_value) == (0, "EUR", 4900)


async def test_the_tier_list_has_every_field_and_no_null_integer(store: Store):
    product = await a_product(store, price_currency="EUR", price_value=4900)
    await a_tier(store, "inherits", price_value=None)
    pro = await a_tier(
        store,
        "pro",
        price_sats_override=9900,
        is_recurring=True,
        renewal_period={"count": 1, "unit": "month"},
        metadata={"highlight": True},
    )
    async with store.work(NOON, TESTER) as work:
        await offers.create(work, pro.id, offers.NewOffer(slug="yearly", price_value=99_000, renewal_period_days=365))
        await offers.create(work, pro.id, offers.NewOffer(slug="gone", price_value=1, active=False))
    async with store.read() as reading:
        tiers = await read.public_tiers(reading, product)
    february = datetime(2026, 2, 1, tzinfo=UTC)
    shown = as_json(shapes.tiers(product, tiers, february))
    assert shown["product"] == {
        "slug": "app",
        "name": "App",
        "description": "",
        "base_price_sats": 0,
        "price_currency": "EUR",
        "price_value": 4900,
        "entitlements_catalog": [],
    }
    assert shown["policies"][0] == {
        "slug": "inherits",
        "name": "Inherits",
        "description": "",
        "price_sats": 4900,
        "price_currency": "EUR",
        "price_value": 4900,
        "duration_seconds": 0,
        "max_machines": 1,
        "is_trial": False,
        "entitlements": [],
        "marketing_bullets": [],
        "marketing_bullets_position": "above",
        "hidden_entitlements": [],
        "highlighted": False,
        "is_recurring": False,
        "renewal_period_days": 0,
        "renewal_period": None,
        "trial_days": 0,
        "trial_needs": "email",
        "featured_discount": None,
        "offers": [],
    }
    recurring = shown["policies"][1]
    assert (recurring["price_sats"], recurring["highlighted"], recurring["renewal_period_days"]) == (9900, True, 28)
    assert recurring["renewal_period"] == {"count": 1, "unit": "month"}
    assert recurring["offers"] == [
        {
            "slug": "yearly",
            "price_sats": 99_000,
            "price_currency": "EUR",
            "price_value": 99_000,
            "renewal_period_days": 365,
            "renewal_period": {"count": 365, "unit": "day"},
        }
    ]


async def test_the_operator_sees_whether_a_price_is_the_tiers_own(store: Store):
    product = await a_product(store, price_currency="EUR", price_value=4900)
    inherits = shapes.admin_policy(product, await a_tier(store, "inherits"), NOON)
    free = shapes.admin_policy(product, await a_tier(store, "free", price_value=0), NOON)
    assert (inherits.price_sats_override, inherits.price_currency, free.price_sats_override) == (None, "EUR", 0)
    assert (inherits.renewal_period_days, inherits.metadata) == (None, {})


async def test_published_metadata_comes_back_as_it_was_sent(store: Store):
    product = await a_product(store)
    sent = {"description": "For studios", "highlight": True, "marketing_bullets": ["Fast"], "mine": 1}
    assert shapes.admin_policy(product, await a_tier(store, "pro", metadata=sent), NOON).metadata == sent
