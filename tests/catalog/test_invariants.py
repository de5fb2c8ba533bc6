from sqlalchemy import insert, update

from keysat.catalog import invariants, offers
from keysat.catalog.tables import Code, Policy, Product
from keysat.infra.store import Store
from tests.catalog.shelf import a_product, a_tier
from tests.conftest import NOON, TESTER


async def test_what_the_verbs_write_holds(store: Store):
    await a_product(store, entitlements_catalog=[{"slug": "raw", "name": "RAW"}])
    await a_tier(store, "pro", entitlements=["raw"], is_recurring=True, renewal_period_days=30, trial_days=7)
    async with store.read() as reading:
        assert await invariants.broken(reading, NOON) == []


async def test_what_was_written_behind_our_back_is_told(store: Store):
    await a_product(store, entitlements_catalog=[{"slug": "raw", "name": "RAW"}])
    tier = await a_tier(store, "pro", is_recurring=True, renewal_period_days=30)
    async with store.work(NOON, TESTER) as work:
        await offers.create(work, tier.id, offers.NewOffer(slug="yearly", price_value=1, renewal_period_days=365))
    async with store.work(NOON, TESTER) as work:
        await work.session.execute(update(Product).values(price_currency="ZZZ"))
        await work.session.execute(update(Policy).values(entitlements=["cloud"], is_recurring=False))
        await work.session.execute(insert(Code).values(code="spring", kind="discount", created_at=NOON))
    async with store.read() as reading:
        told = await invariants.broken(reading, NOON)
    assert [sentence.split()[0] for sentence in told] == ["Product", "Policy", "Offer", "Code"]
