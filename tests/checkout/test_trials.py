"""Trials: for nothing, once for each product and identity, and with what follows written down."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from keysat.catalog.read import policy, product_by_slug
from keysat.catalog.views import PolicyView
from keysat.checkout.codes import CodeRefused
from keysat.checkout.invariants import broken
from keysat.checkout.operate import Gift, give
from keysat.checkout.order import purchase
from keysat.checkout.read import purchased
from keysat.checkout.tables import Order, OrderStatus, Trial
from keysat.checkout.trials import IdentityMissing, TrialUsed
from keysat.checkout.wish import Wish
from keysat.infra.events import digest
from keysat.infra.tables import EventRow
from keysat.kit.errors import BadRequest, RateLimited
from keysat.kit.licensekey import parse
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Subscription
from tests.catalog.shelf import MONTHLY, a_code, a_product, a_tier
from tests.checkout.counter import BUYER, PUBLIC_URL, Counter
from tests.conftest import TESTER

FORTNIGHT = timedelta(days=14)
ANN = "ann@example.org"


async def a_trial(counter: Counter, slug: str = "team", **fields: Any) -> PolicyView:
    values: dict[str, Any] = {"trial_days": 14, "price_value": 1200, **MONTHLY, **fields}
    return await a_tier(counter.store, slug, **values)


async def made(counter: Counter) -> tuple[License, Subscription]:
    async with counter.store.read() as read:
        license = (await read.session.scalars(select(License))).one()
        return license, (await read.session.scalars(select(Subscription))).one()


async def test_a_trial_gives_the_key_for_nothing_and_keeps_the_price_of_what_follows(counter: Counter) -> None:  # W-02
    await a_trial(counter, grace_period_days=5)
    asked = len(counter.fake.requests)
    order = await counter.buy("team", buyer_email=ANN)
    assert (order.status, order.paid_how, order.trial_days) == (OrderStatus.FULFILLED, "free", 14)
    assert (order.listed_value, order.base_value, order.listed_currency) == (0, 1200, "USD")
    async with counter.store.read() as read:
        told = await purchased(read, counter.ring, order.id, PUBLIC_URL)
        names = (
            await read.session.scalars(select(EventRow.name).where(EventRow.name.like("trial.%")).order_by(EventRow.id))
        ).all()
    assert (told.amount_sats, told.base_price_sats, told.discount_applied_sats) == (0, 24_000, 0)
    assert told.license_key == (await counter.poll(order)).license_key
    assert parse(str(told.license_key)).payload.is_trial
    license, subscription = await made(counter)
    assert license.is_trial
    assert license.expires_at == subscription.anchor_at == subscription.paid_through == counter.now + FORTNIGHT
    assert (subscription.cycle_number, license.grace_seconds) == (0, 5 * 86_400)
    assert (subscription.listed_currency, subscription.listed_value) == ("USD", 1200)
    assert (list(names), len(counter.fake.requests)) == (["trial.started"], asked)


async def test_a_tier_that_is_bought_once_is_tried_until_the_trial_ends(counter: Counter) -> None:
    await a_tier(counter.store, "max", price_value=9900, trial_days=30, grace_seconds=60)
    order = await counter.buy("max", buyer_email=ANN)
    async with counter.store.read() as read:
        license = await read.get(License, order.license_id)
        assert await read.session.scalar(select(func.count()).select_from(Subscription)) == 0
    assert (license.expires_at, license.is_trial) == (counter.now + timedelta(days=30), True)


async def test_a_trial_is_had_once_for_a_product_and_address(counter: Counter) -> None:  # D-54
    await a_trial(counter)
    await a_trial(counter, "solo")
    with pytest.raises(IdentityMissing, match="send `buyer_email`"):
        await counter.buy("team")
    with pytest.raises(BadRequest, match="must have an @-sign"):
        await counter.buy("team", buyer_email="ann")
    await counter.buy("team", buyer_email=ANN)
    await counter.travel(days=60)
    for tier in ("team", "solo"):
        with pytest.raises(TrialUsed, match="trial: false"):
            await counter.buy(tier, buyer_email=" Ann+again@EXAMPLE.org ")
    assert (await counter.buy("team", buyer_email="bob@example.org")).trial_days == 14
    await a_product(counter.store, "other", price_sats=1000)
    await a_trial(counter, "other", product="other")
    assert (await counter.buy("other", product="other", buyer_email=ANN)).trial_days == 14
    assert await counter.licenses() == 3


async def test_who_wants_no_trial_or_has_a_code_buys(counter: Counter) -> None:
    await a_trial(counter)
    bought = await counter.buy("team", takes_trial=False)
    assert (bought.status, bought.trial_days, bought.listed_value) == (OrderStatus.AWAITING, None, 1200)
    await a_code(counter.store, "SPRING")
    assert (await counter.buy("team", code="SPRING")).listed_value == 960
    with pytest.raises(CodeRefused):
        await counter.buy("team", code="NOPE", buyer_email=ANN)
    await a_code(counter.store, "LAUNCH", featured=True)  # nobody typed it: it holds for a purchase, and bars no trial
    tried = await counter.buy("team", buyer_email=ANN)
    assert (tried.trial_days, tried.sats_off) == (14, 0)
    await counter.pay(bought)
    async with counter.store.read() as read:
        assert not (await read.get(License, (await counter.order(bought.id)).license_id)).is_trial


async def test_a_trial_may_be_one_for_each_device_or_for_anyone_whom_the_door_admits(counter: Counter) -> None:
    await a_trial(counter, trial_needs="fingerprint")
    await a_trial(counter, "open", trial_needs="nothing")
    with pytest.raises(IdentityMissing, match="send its `fingerprint`"):
        await counter.buy("team", buyer_email=ANN)
    await counter.buy("team", fingerprint="machine-1")
    with pytest.raises(TrialUsed):
        await counter.buy("team", fingerprint="machine-1", buyer_email=ANN)
    await counter.buy("team", fingerprint="machine-2", buyer_email=ANN)
    for told in ({"fingerprint": "machine-3", "buyer_email": ANN}, {"fingerprint": "machine-2"}):
        with pytest.raises(TrialUsed):  # either of the two tells who has had it
            await counter.buy("team", **told)
    with pytest.raises(TrialUsed):  # also where the tier would ask for neither
        await counter.buy("open", buyer_email=ANN)
    assert (await counter.buy("open")).trial_days == (await counter.buy("open")).trial_days == 14

    async def closed() -> None:
        raise RateLimited("Later.", retry_after_seconds=1)

    with pytest.raises(RateLimited):
        await purchase(counter.desk(BUYER), Wish("app", "open"), closed)
    async with counter.store.read() as read:
        hashes = set(await read.session.scalars(select(Trial.hash)))
        product = await product_by_slug(read, "app")
    assert len(hashes) == 3
    guesses = {digest(str(product.id), "fingerprint", "machine-1"), digest(str(product.id), "email", ANN)}
    assert not hashes & guesses  # who has the database but not the vault key can try none


async def test_of_a_hundred_who_ask_for_one_trial_exactly_one_has_it(counter: Counter) -> None:
    await a_trial(counter)
    asked = await asyncio.gather(*(counter.buy("team", buyer_email=ANN) for _ in range(100)), return_exceptions=True)
    outcomes = [type(one).__name__ for one in asked]
    assert (outcomes.count("Order"), outcomes.count("TrialUsed")) == (1, 99)
    async with counter.store.read() as read:
        for rows in (Order, License, Trial, Subscription):
            assert await read.session.scalar(select(func.count()).select_from(rows)) == 1


async def test_a_second_click_shows_the_trial_that_the_browser_has_begun(counter: Counter) -> None:
    await a_trial(counter)
    first = await counter.buy("team", buyer_email=ANN, buyer_token="cookie")
    assert (await counter.buy("team", buyer_email=ANN, buyer_token="cookie")).id == first.id
    with pytest.raises(TrialUsed):
        await counter.buy("team", buyer_email=ANN, buyer_token="another")
    second = await counter.buy("team", buyer_email="bob@example.org", buyer_token="cookie")
    assert second.id != first.id  # another person at the same browser sees no key of the first


async def test_a_second_click_with_another_address_is_another_free_order(counter: Counter) -> None:
    await a_trial(counter, "free", price_value=0)
    seen = [
        (await counter.buy("free", buyer_email=email, buyer_token="cookie")).id
        for email in (None, None, "tpyo@example.org", "typo@example.org", "TYPO@example.org", None)
    ]
    assert [seen.index(one) for one in seen] == [0, 0, 2, 3, 3, 0]


async def test_what_is_free_or_given_by_hand_is_no_trial(counter: Counter) -> None:
    await a_trial(counter, "free", price_value=0)
    assert (await counter.buy("free")).trial_days is None
    tier = await a_trial(counter)
    async with counter.store.work(counter.now, TESTER) as work:
        order = await give(work, Gift(await product_by_slug(work, "app"), await policy(work, tier.id)))
    async with counter.store.read() as read:
        assert not (await read.get(License, order.license_id)).is_trial


async def test_the_doctor_sees_a_trial_that_its_license_denies(counter: Counter) -> None:
    await a_trial(counter)
    order = await counter.buy("team", buyer_email=ANN)
    counter.breaks = ("does not say so",)
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(License).values(is_trial=False))
    async with counter.store.read() as read:
        assert await broken(read, counter.now) == [
            f"Order {order.support_reference} is a trial, and its license does not say so."
        ]
