import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from keysat.catalog import checks, offers, policies, products, read
from keysat.catalog.views import PolicyView
from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.money import MAX_SATS
from keysat.kit.periods import Period, Unit
from tests.catalog.shelf import MONTHLY, a_product, a_tier, events
from tests.conftest import NOON, TESTER


async def edited(store: Store, policy_id: UUID, **fields: Any) -> PolicyView:
    async with store.work(NOON, TESTER) as work:
        return await policies.edit(work, policy_id, msgspec.convert(fields, policies.PolicyEdit))


async def test_a_tier_is_read_back_as_it_was_written(store: Store):
    await a_product(store)
    made = await a_tier(
        store,
        "pro",
        price_sats_override=9000,
        entitlements=["raw", "core", "raw"],
        tier_rank=2,
        trial_days=30,
        **MONTHLY,
    )
    async with store.read() as reading:
        found = await read.policy(reading, made.id)
    assert found == made
    assert found.entitlements == ("raw", "core")
    assert found.period == Period(1, Unit.MONTH)
    assert (found.max_machines, found.grace_period_days, found.renewal_lead_days, found.is_open) == (1, 7, 3, True)
    assert await events(store) == ["product.created", "policy.created"]


async def test_a_tier_of_an_unknown_product_is_refused(store: Store):
    with pytest.raises(NotFound, match="no product app"):
        await a_tier(store, "pro")


async def test_of_many_who_write_one_slug_at_once_one_succeeds(store: Store):
    await a_product(store)
    done = await asyncio.gather(*(a_tier(store, "pro") for _ in range(5)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Conflict"] * 4 + ["PolicyView"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"slug": "Pro!"}, "is not a slug"),
        ({"name": ""}, "name is empty"),
        ({"price_sats_override": -1}, "price_sats_override is -1"),
        ({"price_sats_override": MAX_SATS + 1}, f"from 0 to {MAX_SATS}"),
        ({"price_sats_override": 1, "price_value": 2}, "different prices"),
        ({"duration_seconds": -1}, "duration_seconds is -1"),
        ({"grace_seconds": 10**12}, "whole number from 0"),
        ({"max_machines": 1_000_001}, "max_machines"),
        ({"seats_evict_after_days": 0}, "seats_evict_after_days"),
        ({"tier_rank": 1001}, "tier_rank"),
        ({"is_recurring": True}, "needs its period"),
        ({"is_recurring": True, "renewal_period_days": 1831}, "1 to 1830 days"),
        (
            {"is_recurring": True, "renewal_period_days": 30, "renewal_period": {"count": 1, "unit": "month"}},
            "one thing",
        ),
        ({"is_recurring": True, "renewal_period_days": 30, "trial_days": 31}, "from 0 to 30"),
        ({"is_recurring": True, "renewal_period_days": 30, "grace_period_days": 91}, "from 0 to 90"),
        ({"trial_days": 366}, "from 0 to 365"),
        ({"entitlements": ["raw", "cloud"]}, "has no cloud"),
        ({"entitlements": ["RAW"]}, "is not an entitlement"),
        ({"marketing_bullets_position": "left"}, "above or below"),
        ({"marketing_bullets": ["x" * 501]}, "Shorten it to 500"),
        ({"metadata": {"marketing_bullets": "one"}}, "Expected `array`"),
    ],
)
async def test_what_a_tier_cannot_be_is_refused_with_advice(store: Store, fields: dict[str, Any], advice: str):
    await a_product(store, entitlements_catalog=[{"slug": "raw", "name": "RAW"}])
    body = {"product_slug": "app", "slug": "pro", "name": "Pro", **fields}
    with pytest.raises(BadRequest, match=advice):
        async with store.work(NOON, TESTER) as work:
            await policies.create(work, msgspec.convert(body, policies.NewPolicy))


@pytest.mark.once
async def test_more_entitlements_than_a_key_holds_are_refused_before_anything_is_sold(store: Store):
    await a_product(store)
    with pytest.raises(BadRequest, match="at most 255"):
        await a_tier(store, "pro", entitlements=[f"e{number}" for number in range(256)])


async def test_null_clears_and_absent_leaves(store: Store):
    await a_product(store)
    made = await a_tier(store, "pro", price_sats_override=0, tier_rank=3, description="Text", **MONTHLY)
    after = await edited(store, made.id, name="Better")
    assert (after.price_value, after.tier_rank, after.description, after.period) == (0, 3, "Text", made.period)
    after = await edited(store, made.id, price_sats_override=None, tier_rank=None, description=None)
    assert (after.name, after.price_value, after.tier_rank, after.description) == ("Better", None, None, "")
    assert await edited(store, made.id, name="Better") == after
    assert await events(store) == ["product.created", "policy.created", "policy.updated", "policy.updated"]


async def test_the_period_can_be_said_in_days_too(store: Store):
    await a_product(store)
    made = await a_tier(store, "pro", **MONTHLY)
    assert (await edited(store, made.id, renewal_period_days=90)).period == Period(90, Unit.DAY)
    with pytest.raises(BadRequest, match="needs its period"):
        await edited(store, made.id, renewal_period=None)
    assert (await edited(store, made.id, is_recurring=False)).period is None


async def test_metadata_keys_of_the_published_server_reach_their_columns(store: Store):
    await a_product(store)
    shown = {
        "description": "For studios",
        "highlight": True,
        "marketing_bullets": ["Fast"],
        "marketing_bullets_position": "below",
        "hidden_entitlements": ["secret"],
    }
    made = await a_tier(store, "pro", entitlements=["secret"], metadata={**shown, "mine": 1})
    assert (made.description, made.highlighted, made.marketing_bullets) == ("For studios", True, ("Fast",))
    assert (made.marketing_bullets_position, made.hidden_entitlements) == ("below", ("secret",))
    assert made.details == {"mine": 1}
    after = await edited(store, made.id, metadata={"highlight": False}, description="Its own field wins")
    assert (after.highlighted, after.description, after.marketing_bullets) == (False, "Its own field wins", ("Fast",))


async def test_switches_are_told_once(store: Store):
    await a_product(store)
    made = await a_tier(store, "pro", public=False)
    async with store.work(NOON, TESTER) as work:
        assert not made.is_open
        assert (await policies.set_public(work, made.id, True)).is_open
        assert not (await policies.set_active(work, made.id, False)).is_open
        assert (await policies.set_active(work, made.id, True)).is_open
        assert (await policies.set_archived(work, made.id, True)).archived_at == NOON
        assert (await policies.set_archived(work, made.id, True)).archived_at == NOON
        assert (await policies.set_archived(work, made.id, False)).is_open
    told = ["policy.updated", "policy.updated", "policy.updated", "policy.archived", "policy.unarchived"]
    assert (await events(store))[2:] == told


async def test_offers_are_sorted_by_price_and_go_with_their_tier(store: Store):
    product = await a_product(store)
    made = await a_tier(store, "pro", price_sats_override=9000, **MONTHLY)
    async with store.work(NOON, TESTER) as work:
        year = checks.PeriodInput(1, Unit.YEAR)
        yearly = await offers.create(
            work, made.id, offers.NewOffer(slug="yearly", price_value=90_000, renewal_period=year)
        )
        await offers.create(work, made.id, offers.NewOffer(slug="student", price_value=4500))
    async with store.work(NOON, TESTER) as work:
        cheaper = await offers.edit(work, made.id, yearly.id, offers.OfferEdit(price_value=80_000))
        assert await offers.edit(work, made.id, yearly.id, offers.OfferEdit(price_value=80_000)) == cheaper
    async with store.read() as reading:
        (tier,) = await read.policies(reading, product)
        assert await read.offer(reading, yearly.id) == cheaper
    assert [(offer.slug, offer.price_value, offer.own_period) for offer in tier.offers] == [
        ("student", 4500, None),
        ("yearly", 80_000, Period(1, Unit.YEAR)),
    ]
    with pytest.raises(BadRequest, match="has offers with a period"):
        await edited(store, made.id, is_recurring=False)
    async with store.work(NOON, TESTER) as work:
        await offers.delete_offer(work, made.id, yearly.id)
        await policies.delete_policy(work, made.id)
    told = ["offer.created", "offer.created", "offer.updated", "offer.deleted", "policy.deleted"]
    assert (await events(store))[2:] == told


async def test_what_an_offer_cannot_be_is_refused(store: Store):
    await a_product(store)
    once, other = await a_tier(store, "once"), await a_tier(store, "other")
    async with store.work(NOON, TESTER) as work:
        made = await offers.create(work, once.id, offers.NewOffer(slug="student", price_value=1))
    for body, error in (
        (offers.NewOffer(slug="student", price_value=1), Conflict),
        (offers.NewOffer(slug="yearly", price_value=1, renewal_period_days=365), BadRequest),
        (offers.NewOffer(slug="minus", price_value=-1), BadRequest),
        (offers.NewOffer(slug="all", price_value=MAX_SATS + 1), BadRequest),
        (offers.NewOffer(slug="Bad", price_value=1), BadRequest),
    ):
        with pytest.raises(error):
            async with store.work(NOON, TESTER) as work:
                await offers.create(work, once.id, body)
    with pytest.raises(NotFound):
        async with store.work(NOON, TESTER) as work:
            await offers.edit(work, other.id, made.id, offers.OfferEdit(active=False))
    with pytest.raises(BadRequest, match=f"from 0 to {MAX_SATS}"):
        async with store.work(NOON, TESTER) as work:
            await offers.edit(work, once.id, made.id, offers.OfferEdit(price_value=MAX_SATS + 1))


async def test_other_money_is_not_counted_in_bitcoin(store: Store):
    await a_product(store, price_currency="IRR", price_value=MAX_SATS + 1)
    tier = await a_tier(store, "pro", price_sats_override=MAX_SATS + 1)
    async with store.work(NOON, TESTER) as work:
        await offers.create(work, tier.id, offers.NewOffer(slug="all", price_value=MAX_SATS + 1))


async def test_a_currency_change_and_a_new_own_price_do_not_pass_each_other(store: Store):
    made = await a_product(store)
    euro = msgspec.convert({"price_currency": "EUR", "price_value": 1}, products.ProductEdit)

    async def change() -> None:
        async with store.work(NOON, TESTER) as work:
            await products.edit(work, made.id, euro)

    done = await asyncio.gather(a_tier(store, "pro", price_sats_override=9000), change(), return_exceptions=True)
    refused = [one for one in done if isinstance(one, BaseException)]
    assert len(refused) == 0 or isinstance(refused[0], BadRequest)
    async with store.read() as reading:
        product = await read.product(reading, made.id)
        assert len(await read.policies(reading, product)) == 1
    assert (product.price_currency == "SAT") == bool(refused)
