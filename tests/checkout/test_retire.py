"""What was never sold can go, what was sold stays: nothing that a buyer holds or may still pay for is lost."""

from uuid import UUID

import pytest
from sqlalchemy import func, select

from keysat.catalog import offers, products
from keysat.catalog.discount_read import discount_of
from keysat.catalog.discounts import delete_discount
from keysat.catalog.features import FeatureInput
from keysat.catalog.read import choose
from keysat.catalog.tables import Policy, Product
from keysat.checkout.operate import Gift, give, refuse
from keysat.checkout.retire import Removed, delete_policy, delete_product
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.house import Mode, write_once
from keysat.kit.errors import BadRequest, Conflict, NotFound, UpstreamError
from keysat.payments.tables import Attempt, NudgeRow
from tests.catalog.shelf import a_code, a_product, a_tier, code_now
from tests.checkout.counter import Counter
from tests.conftest import TESTER

S = OrderStatus
LATE_DAYS = 15  # by then nobody looks for late money any more


async def ids(counter: Counter, product: str = "app", tier: str = "pro") -> tuple[UUID, UUID]:
    async with counter.store.read() as read:
        product_id = (await read.session.scalars(select(Product.id).where(Product.slug == product))).one()
        tier_id = await read.session.scalar(
            select(Policy.id).where(Policy.product_id == product_id, Policy.slug == tier)
        )
    return product_id, tier_id or UUID(int=0)


async def drop_tier(counter: Counter, *, force: bool = False, name: str | None = None, tier: str = "pro") -> Removed:
    _, tier_id = await ids(counter, tier=tier)
    async with counter.store.work(counter.now, TESTER) as work:
        return await delete_policy(work, tier_id, force, name)


async def drop_product(counter: Counter, *, force: bool = False, name: str | None = None) -> Removed:
    product_id, _ = await ids(counter)
    async with counter.store.work(counter.now, TESTER) as work:
        return await delete_product(work, product_id, force, name)


async def refused(counter: Counter) -> list[str]:
    """What each of the four ways says: tier and product, without and with force. Nothing is gone afterwards."""
    said: list[str] = []
    for force in (False, True):
        for drop, name in ((drop_tier, "pro"), (drop_product, "app")):
            with pytest.raises(Conflict) as raised:
                await drop(counter, force=force, name=name)
            said.append(raised.value.message)
    return said


async def left(counter: Counter) -> list[int]:
    """Products, tiers, orders, attempts, nudges."""
    async with counter.store.read() as read:
        return [
            await read.session.scalar(select(func.count()).select_from(model)) or 0
            for model in (Product, Policy, Order, Attempt, NudgeRow)
        ]


async def test_what_nobody_ordered_goes_with_its_parts(counter: Counter) -> None:
    product_id, tier_id = await ids(counter)
    async with counter.store.work(counter.now, TESTER) as work:
        await offers.create(work, tier_id, offers.NewOffer(slug="special", price_value=9000))
        feature = FeatureInput("core", "Core")
        await products.edit(work, product_id, products.ProductEdit(entitlements_catalog=[feature]))
    assert await drop_product(counter) == Removed("app", cascaded_policies=1, cascaded_offers=1)
    assert await left(counter) == [0, 0, 0, 0, 0]
    with pytest.raises(NotFound):
        async with counter.store.work(counter.now, TESTER) as work:
            await delete_policy(work, tier_id, False, None)


async def test_a_tier_goes_alone(counter: Counter) -> None:
    await a_tier(counter.store, "extra")
    order = await counter.buy()
    assert await drop_tier(counter, tier="extra") == Removed("extra")
    await counter.pay(order)
    assert (await counter.order(order.id)).status == S.FULFILLED


async def test_what_was_sold_stays_whatever_is_typed(counter: Counter) -> None:
    await a_tier(counter.store, "monthly", is_recurring=True, renewal_period_days=30)
    for tier in ("pro", "monthly"):
        await counter.pay(await counter.buy(tier))
    await counter.buy()
    said = await refused(counter)
    tier = "The tier pro was sold: 1 license, 1 open order, 1 settled order. Archive it instead."
    product = (
        "The product app was sold: 2 licenses, 1 open order, 2 settled orders, 1 subscription. "
        "Set it inactive and archive its tiers instead."
    )
    assert said == [tier, product, tier, product]


async def test_a_license_given_away_is_a_sale_too(counter: Counter) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        choice = await choose(work, "app", "pro")
        await give(work, Gift(choice.product, choice.policy))
    assert all("1 license, 1 settled order" in said for said in await refused(counter))


async def test_an_open_order_keeps_what_it_is_for(counter: Counter) -> None:
    order = await counter.buy()
    assert all("can still be paid for: 1 open order" in said for said in await refused(counter))
    await counter.pay(order, confirmed=False)
    assert all("1 open order" in said for said in await refused(counter))
    assert (await counter.order(order.id)).status == S.PROCESSING


async def test_part_of_the_money_is_money(counter: Counter) -> None:
    await counter.pay(await counter.buy(), percent=40)
    await counter.travel(hours=1)
    assert all("1 settled order" in said for said in await refused(counter))


async def test_an_ended_order_wants_force_and_the_typed_name(counter: Counter) -> None:
    await counter.buy()
    await counter.travel(days=LATE_DAYS)
    with pytest.raises(Conflict, match="never sold, but there are orders: 1 ended order"):
        await drop_tier(counter)
    for typed in (None, "", "Pro", "app"):
        with pytest.raises(BadRequest, match="type the name pro"):
            await drop_tier(counter, force=True, name=typed)
    assert (await left(counter))[:4] == [1, 1, 1, 1]
    removed = await drop_tier(counter, force=True, name="pro")
    assert removed == Removed("pro", 0, 0, 1, 1, removed.cascaded_nudges)
    assert removed.cascaded_nudges > 0  # the provider told us that the invoice expired
    assert await left(counter) == [1, 0, 0, 0, 0]


async def test_a_buyer_who_may_still_pay_late_keeps_his_order(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(hours=1)
    assert (await counter.order(order.id)).status == S.EXPIRED
    with pytest.raises(Conflict, match="1 ended order, and money may still come in for it until 2"):
        await drop_product(counter, force=True, name="app")
    await counter.pay(order)
    assert (await counter.order(order.id)).status in (S.FULFILLED, S.REVIEW)


async def test_play_money_is_not_waited_for(counter: Counter) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await write_once(work, "mode", Mode.SANDBOX)
    counter.breaks = ("mainnet",)  # its account is still the live shop's
    await counter.buy()
    await counter.travel(hours=1)
    removed = await drop_product(counter, force=True, name="app")
    assert (removed.cascaded_policies, removed.cascaded_orders, removed.cascaded_attempts) == (1, 1, 1)


async def test_what_the_provider_never_opened_goes_at_once(counter: Counter) -> None:
    counter.fake.fail_next("lost_before", method="POST", path="/invoices")
    with pytest.raises(UpstreamError):
        await counter.buy()
    removed = await drop_product(counter, force=True, name="app")
    assert (removed.cascaded_orders, removed.cascaded_attempts) == (1, 1)


async def test_an_order_refused_by_hand_and_one_of_another_product_do_not_mix(counter: Counter) -> None:
    await a_product(counter.store, "tool", price_currency="USD", price_value=2500)
    other = await counter.buy(None, product="tool")
    mine = await counter.buy()
    async with counter.store.work(counter.now, TESTER) as work:
        await refuse(work, mine.id)
    await counter.travel(days=LATE_DAYS)
    await drop_product(counter, force=True, name="app")
    assert (await counter.order(other.id)).product_id == other.product_id


async def test_codes_made_for_it_alone_go_with_it_by_force(counter: Counter) -> None:
    """A code whose only tier is gone would hold for all: it goes too. One for several tiers keeps the others."""
    await a_tier(counter.store, "max", price_sats_override=9000)
    await a_code(counter.store, "ONLY", product_slug="app", policy_slugs=["pro"])
    await a_code(counter.store, "BOTH", product_slug="app", policy_slugs=["pro", "max"])
    await a_code(counter.store, "ALL")
    with pytest.raises(Conflict, match="2 discount codes"):
        await drop_tier(counter)
    assert (await drop_tier(counter, force=True, name="pro")).cascaded_codes == 1
    async with counter.store.read() as read:
        assert await discount_of(read, "ONLY") is None
    assert len((await code_now(counter.store, "BOTH")).policy_ids) == 1
    assert (await drop_product(counter, force=True, name="app")).cascaded_codes == 1
    assert (await code_now(counter.store, "ALL")).active


async def test_ended_orders_that_go_give_their_uses_back(counter: Counter) -> None:
    code = await a_code(counter.store, "SPRING", max_uses=1)
    async with counter.store.work(counter.now, TESTER) as work:
        await write_once(work, "mode", Mode.SANDBOX)
    counter.breaks = ("mainnet",)  # its account is still the live shop's
    await counter.buy(code="SPRING")
    await counter.travel(hours=1)
    assert (await code_now(counter.store, "SPRING")).used_count == 1
    await drop_tier(counter, force=True, name="pro")
    assert (await code_now(counter.store, "SPRING")).used_count == 0
    async with counter.store.work(counter.now, TESTER) as work:
        await delete_discount(work, code.id)
