"""What a code takes off, and which one is shown: for all amounts, not for those that were thought of."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keysat.catalog.pricing import Refusal, best_featured, reduced, refusal, works_in_sats
from keysat.catalog.tables import DiscountDuration, DiscountId, DiscountKind, PolicyId, ProductId
from keysat.catalog.views import DiscountView
from keysat.kit.currencies import EXPONENTS
from keysat.kit.money import MAX_MINOR, Money

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
PRODUCT, TIER, OTHER = ProductId(UUID(int=1)), PolicyId(UUID(int=2)), UUID(int=3)
PLAIN = DiscountView(
    id=DiscountId(UUID(int=9)),
    code="SPRING",
    kind=DiscountKind.PERCENT,
    amount=2000,
    currency=None,
    product_id=None,
    policy_ids=(),
    max_uses=None,
    used_count=0,
    expires_at=None,
    active=True,
    featured=True,
    duration=DiscountDuration.ONCE,
    duration_cycles=None,
    referrer_label=None,
    description="",
    created_at=NOON,
    updated_at=NOON,
)


def a_discount(**fields: Any) -> DiscountView:
    return msgspec.structs.replace(PLAIN, **fields)


def discounts(currency: str) -> st.SearchStrategy[DiscountView]:
    """Of any kind, for prices in this currency."""

    def percent(amount: int) -> DiscountView:
        return a_discount(amount=amount)

    def money(kind: DiscountKind, amount: int) -> DiscountView:
        return a_discount(kind=kind, amount=amount, currency=currency)

    kinds = st.sampled_from([DiscountKind.FIXED, DiscountKind.SET_PRICE])
    return st.one_of(
        st.builds(percent, st.integers(0, 10_000)),
        st.builds(money, kinds, st.integers(1, MAX_MINOR)),
        st.just(a_discount(kind=DiscountKind.FREE_LICENSE, amount=0)),
    )


@pytest.mark.parametrize("currency", ["SAT", "EUR", "JPY", "KWD"])
@given(data=st.data(), minor=st.integers(0, MAX_MINOR))
def test_what_is_left_is_never_negative_and_never_above_the_list_price(
    currency: str, data: st.DataObject, minor: int
) -> None:
    price = Money(currency, minor)
    left = reduced(price, data.draw(discounts(currency)))
    assert left.currency == currency
    assert 0 <= left.minor <= price.minor


@given(st.integers(0, MAX_MINOR), st.integers(0, 10_000))
def test_a_percentage_takes_off_its_share_rounded_down(minor: int, points: int) -> None:
    off = minor - reduced(Money("EUR", minor), a_discount(amount=points)).minor
    assert off * 10_000 <= minor * points < (off + 1) * 10_000


@given(
    st.sampled_from([DiscountKind.FIXED, DiscountKind.SET_PRICE]),
    st.sampled_from(sorted(EXPONENTS)),
    st.sampled_from(sorted(EXPONENTS)),
    st.integers(1, MAX_MINOR),
)
def test_currencies_are_never_mixed(kind: DiscountKind, currency: str, price: str, amount: int) -> None:
    """Of two currencies a code is refused before it could be taken off; in sats it works on the sats of the price."""
    discount = a_discount(kind=kind, amount=amount, currency=currency)
    assume(currency != price)
    assert (refusal(discount, PRODUCT, TIER, price, NOON) == Refusal.WRONG_CURRENCY) != (currency == "SAT")
    with pytest.raises(ValueError, match="cannot be taken off"):
        reduced(Money(price, 1000), discount)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, None),
        ({"active": False}, Refusal.DISABLED),
        ({"expires_at": NOON}, Refusal.EXPIRED),
        ({"expires_at": NOON + timedelta(microseconds=1)}, None),
        ({"product_id": OTHER}, Refusal.WRONG_PRODUCT),
        ({"product_id": PRODUCT, "policy_ids": (OTHER,)}, Refusal.WRONG_TIER),
        ({"product_id": PRODUCT, "policy_ids": (OTHER, TIER)}, None),
        ({"currency": "EUR", "kind": DiscountKind.FIXED}, Refusal.WRONG_CURRENCY),
        ({"currency": "SAT", "kind": DiscountKind.FIXED}, None),
        ({"active": False, "expires_at": NOON, "product_id": OTHER}, Refusal.DISABLED),
    ],
)
def test_a_code_is_refused_for_the_first_thing_that_does_not_fit(fields: dict[str, Any], why: Refusal | None) -> None:
    assert refusal(a_discount(**fields), PRODUCT, TIER, "USD", NOON) == why


def test_a_code_for_tiers_is_for_no_product_without_tiers() -> None:
    assert refusal(a_discount(policy_ids=(TIER,)), PRODUCT, None, "USD", NOON) == Refusal.WRONG_TIER


def test_sats_are_worked_in_when_the_price_is_in_something_else() -> None:
    sats = a_discount(kind=DiscountKind.FIXED, currency="SAT")
    assert works_in_sats(sats, "USD")
    assert not works_in_sats(sats, "SAT")
    assert not works_in_sats(a_discount(), "USD")


def test_the_narrowest_code_is_shown_and_the_oldest_of_equals() -> None:
    younger = NOON + timedelta(seconds=1)
    for_all = a_discount(id=DiscountId(UUID(int=11)))
    for_product = a_discount(id=DiscountId(UUID(int=12)), product_id=PRODUCT)
    for_tier = a_discount(id=DiscountId(UUID(int=13)), product_id=PRODUCT, policy_ids=(TIER,))
    twin = msgspec.structs.replace(for_product, id=DiscountId(UUID(int=10)), created_at=younger)
    elsewhere = msgspec.structs.replace(for_tier, policy_ids=(OTHER,))
    price = Money("USD", 7500)

    def shown(*codes: DiscountView) -> DiscountView | None:
        return best_featured(codes, PRODUCT, TIER, price, NOON)

    assert shown(for_all, twin, for_product, for_tier) == for_tier
    assert shown(for_all, twin, for_product, elsewhere) == for_product
    assert shown(elsewhere) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"featured": False},
        {"max_uses": 3, "used_count": 3},
        {"amount": 0},
        {"kind": DiscountKind.SET_PRICE, "amount": 7500, "currency": "USD"},
    ],
)
def test_a_code_that_brings_nothing_is_not_shown(fields: dict[str, Any]) -> None:
    assert best_featured([a_discount(**fields)], PRODUCT, TIER, Money("USD", 7500), NOON) is None


def test_what_is_free_anyway_shows_no_code() -> None:
    assert best_featured([PLAIN], PRODUCT, TIER, Money("USD", 0), NOON) is None


@pytest.mark.parametrize(
    ("duration", "count", "cycles"),
    [(DiscountDuration.ONCE, None, 1), (DiscountDuration.CYCLES, 6, 6), (DiscountDuration.FOREVER, None, None)],
)
def test_cycles_count_the_purchase(duration: DiscountDuration, count: int | None, cycles: int | None) -> None:
    assert a_discount(duration=duration, duration_cycles=count).cycles == cycles


def test_a_late_payment_beyond_the_limit_leaves_no_uses_and_not_fewer() -> None:
    assert a_discount(max_uses=3, used_count=4).remaining_uses == 0
