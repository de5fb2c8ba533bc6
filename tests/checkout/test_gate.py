"""The settle gate against every situation of `payment-rails.md` 2.2 and every condition of 6.4."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.checkout.gate import DOUBTS, LATE_WINDOW, Doubt, Expected, Ruled, Ruling, rule, strongest
from keysat.checkout.tables import PaidHow
from keysat.kit.money import Money
from keysat.payments.provider import InvoiceSnapshot, Network, PayState

END = datetime(2026, 1, 15, 12, 15, tzinfo=UTC)
PRICE = Money("EUR", 4900)
ASKED = Expected("inv-1", "store-1", "echo-1", PRICE, Network.MAINNET, takes_mainnet=True)
NEW = InvoiceSnapshot(
    invoice_id="inv-1",
    account_id="store-1",
    attempt_id="echo-1",
    price=PRICE,
    state=PayState.PENDING,
    raw_status="New",
    paid=Money("EUR", 0),
    expires_at=END,
    network=Network.MAINNET,
)


def shown(state: PayState, **fields: Any) -> InvoiceSnapshot:
    return replace(NEW, state=state, **fields)


def euros(minor: int) -> Money:
    return Money("EUR", minor)


SETTLED = shown(PayState.SETTLED, paid=PRICE, all_confirmed=True, last_payment_at=END - timedelta(minutes=5))
MARKED = shown(PayState.SETTLED, marked_by_hand=True)
LATE = shown(PayState.EXPIRED, paid_late=True, paid=PRICE, all_confirmed=True, last_payment_at=END + timedelta(hours=1))
PAID_INVALID = shown(PayState.INVALID, paid=PRICE, all_confirmed=True, last_payment_at=END)
PLAIN = Ruled(Ruling.SETTLE)

SITUATIONS = {  # payment-rails.md 2.2: what GET shows, and what it means for the order
    "Lightning or on-chain, normal": (SETTLED, PLAIN),
    "on-chain, seen": (shown(PayState.PROCESSING, paid=PRICE), Ruled(Ruling.PROCESSING)),
    "partial, in time": (shown(PayState.PENDING, paid=euros(2000), partial=True), Ruled(Ruling.PENDING)),
    "partial, then expired": (
        shown(PayState.EXPIRED, paid=euros(2000), partial=True, all_confirmed=True),
        Ruled(Ruling.UNDERPAID),
    ),
    "nothing paid": (shown(PayState.EXPIRED), Ruled(Ruling.EXPIRED)),
    "paid late, full, confirmed": (LATE, Ruled(Ruling.SETTLE, how=PaidHow.LATE)),
    "paid late, full, only seen": (replace(LATE, all_confirmed=False), Ruled(Ruling.EXPIRED)),
    "paid late, at the end of the window": (
        replace(LATE, last_payment_at=END + LATE_WINDOW),
        Ruled(Ruling.SETTLE, how=PaidHow.LATE),
    ),
    "paid too late": (
        replace(LATE, last_payment_at=END + LATE_WINDOW + timedelta(seconds=1)),
        Ruled(Ruling.REVIEW, doubt=Doubt.TOO_LATE),
    ),
    "paid late, nobody knows when": (replace(LATE, last_payment_at=None), Ruled(Ruling.REVIEW, doubt=Doubt.TOO_LATE)),
    "paid late, the end is unknown": (replace(LATE, expires_at=None), Ruled(Ruling.REVIEW, doubt=Doubt.TOO_LATE)),
    "paid late, partial": (
        shown(PayState.EXPIRED, paid=euros(2000), partial=True, last_payment_at=END + timedelta(hours=1)),
        Ruled(Ruling.UNDERPAID),
    ),
    "paid late, called full, is too little": (
        replace(LATE, paid=euros(4899)),
        Ruled(Ruling.REVIEW, doubt=Doubt.LATE_WITH_TOO_LITTLE),
    ),
    "paid late, too much": (replace(LATE, paid=euros(5000)), Ruled(Ruling.SETTLE, how=PaidHow.LATE, surplus_minor=100)),
    "paid before expiry, confirmed after": (replace(SETTLED, expires_at=END - timedelta(hours=9)), PLAIN),
    "overpaid": (replace(SETTLED, paid=euros(6000), over=True), Ruled(Ruling.SETTLE, surplus_minor=1100)),
    "double-spent away before expiry": (shown(PayState.PENDING), Ruled(Ruling.PENDING)),
    "double-spent away after expiry": (
        shown(PayState.EXPIRED, paid_late=True, paid=euros(0)),
        Ruled(Ruling.EXPIRED),
    ),
    "low fee, the provider gave up": (shown(PayState.INVALID, paid=PRICE), Ruled(Ruling.INVALID)),
    "low fee, confirmed after the provider gave up": (
        PAID_INVALID,
        Ruled(Ruling.REVIEW, doubt=Doubt.CONFIRMED_TOO_LATE),
    ),
    "the same, too little": (replace(PAID_INVALID, paid=euros(4899)), Ruled(Ruling.INVALID)),
    "marked settled by the admin": (MARKED, Ruled(Ruling.SETTLE, how=PaidHow.MARKED)),
    "marked settled, nothing known of payments": (replace(MARKED, paid=None), Ruled(Ruling.SETTLE, how=PaidHow.MARKED)),
    "marked invalid by the admin": (
        replace(PAID_INVALID, marked_by_hand=True),
        Ruled(Ruling.INVALID, doubt=Doubt.MONEY_ON_INVALID),
    ),
    "store tolerance": (replace(SETTLED, paid=euros(4899)), Ruled(Ruling.REVIEW, doubt=Doubt.SETTLED_WITH_TOO_LITTLE)),
    "settled, and the provider does not say how much": (
        replace(SETTLED, paid=None),
        Ruled(Ruling.REVIEW, doubt=Doubt.SETTLED_WITH_TOO_LITTLE),
    ),
    "settled in another money": (
        replace(SETTLED, paid=Money("USD", 4900)),
        Ruled(Ruling.REVIEW, doubt=Doubt.SETTLED_WITH_TOO_LITTLE),
    ),
    "a word we do not know": (replace(SETTLED, state=PayState.UNKNOWN), Ruled(Ruling.HOLD)),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_is_ruled_as_written(situation: str) -> None:
    snapshot, expected = SITUATIONS[situation]
    assert rule(ASKED, snapshot) == expected


def test_a_network_the_invoice_does_not_tell_is_the_connections() -> None:
    assert rule(ASKED, replace(SETTLED, network=Network.UNKNOWN)) == PLAIN


def test_a_sandbox_takes_play_money() -> None:
    asked = replace(ASKED, network=Network.SANDBOX, takes_mainnet=False)
    assert rule(asked, replace(SETTLED, network=Network.SANDBOX)) == PLAIN


def test_the_late_window_of_an_upgrade_is_nothing() -> None:
    assert rule(ASKED, LATE, timedelta(0)) == Ruled(Ruling.REVIEW, doubt=Doubt.TOO_LATE)
    assert rule(ASKED, replace(LATE, last_payment_at=END), timedelta(0)).ruling == Ruling.SETTLE


MISMATCHES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # reason: what was asked, what is shown
    "other_invoice": ({}, {"invoice_id": "inv-2"}),
    "other_account": ({}, {"account_id": "store-2"}),
    "other_attempt": ({}, {"attempt_id": "echo-2"}),
    "other_currency": ({}, {"price": Money("USD", 4900), "paid": Money("USD", 4900)}),
    "other_price": ({}, {"price": Money("EUR", 4899)}),
    "network_unknown": ({"network": Network.UNKNOWN}, {"network": Network.UNKNOWN}),
    "other_network": ({}, {"network": Network.TESTNET}),
    "network_does_not_fit": ({"takes_mainnet": False}, {}),
}
MORE_MISMATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *MISMATCHES.values(),
    ({}, {"attempt_id": None}),
    ({}, {"price": Money("EUR", 4901), "paid": Money("EUR", 4901)}),
    ({"network": Network.UNKNOWN}, {}),
    ({"network": Network.REGTEST}, {"network": Network.REGTEST}),
]


@pytest.mark.parametrize("snapshot", [SETTLED, MARKED, LATE, PAID_INVALID])
@pytest.mark.parametrize("reason", MISMATCHES)
def test_an_invoice_that_is_not_ours_goes_to_a_person_with_the_reason(reason: str, snapshot: InvoiceSnapshot) -> None:
    asked, told = MISMATCHES[reason]
    if snapshot is PAID_INVALID and "paid" in told:
        return  # too little of our money: it is invalid and nothing more
    assert rule(replace(ASKED, **asked), replace(snapshot, **told)) == Ruled(Ruling.REVIEW, doubt=Doubt(reason))


booleans = st.booleans()
amounts = st.sampled_from([None, euros(0), euros(4899), PRICE, euros(4901), Money("USD", 4900), Money("SAT", 10**9)])
moments = st.none() | st.integers(-3600, 2 * 86_400).map(lambda seconds: END + timedelta(seconds=seconds))
asked_for = st.builds(
    replace,
    st.just(ASKED),
    network=st.sampled_from([Network.MAINNET, Network.MAINNET, *Network]),
    takes_mainnet=st.sampled_from([True, True, False]),
)


def mostly(right: object, *wrong: object) -> st.SearchStrategy[Any]:
    return st.sampled_from([right] * 4 + list(wrong))


snapshots = st.builds(
    InvoiceSnapshot,
    invoice_id=mostly("inv-1", "inv-2"),
    account_id=mostly("store-1", "store-2"),
    attempt_id=mostly("echo-1", "echo-2", None),
    price=mostly(PRICE, euros(1), Money("USD", 4900)),
    state=st.sampled_from(PayState),
    raw_status=st.just("?"),
    paid=amounts,
    paid_late=booleans,
    partial=booleans,
    over=booleans,
    marked_by_hand=booleans,
    all_confirmed=booleans,
    expires_at=mostly(END, None),
    last_payment_at=moments,
    network=mostly(Network.MAINNET, *Network),
)


def is_ours(asked: Expected, told: InvoiceSnapshot) -> bool:
    return (told.invoice_id, told.account_id, told.attempt_id, told.price) == (
        asked.invoice_id,
        asked.account_id,
        asked.echo,
        asked.price,
    ) and (
        asked.network != Network.UNKNOWN
        and told.network in (asked.network, Network.UNKNOWN)
        and asked.takes_mainnet == (asked.network == Network.MAINNET)
    )


def is_paid(told: InvoiceSnapshot) -> bool:
    """6.4, conditions 5 to 7."""
    enough = told.paid is not None and told.paid.currency == "EUR" and told.paid.minor >= PRICE.minor
    if told.state == PayState.SETTLED:
        return enough or told.marked_by_hand
    in_time = (
        told.last_payment_at is not None
        and told.expires_at is not None
        and told.last_payment_at <= told.expires_at + LATE_WINDOW
    )
    return told.state == PayState.EXPIRED and told.paid_late and told.all_confirmed and enough and in_time


@given(asked_for, snapshots)
def test_it_settles_what_is_ours_and_paid_and_nothing_else(asked: Expected, told: InvoiceSnapshot) -> None:
    assert (rule(asked, told).ruling == Ruling.SETTLE) == (is_ours(asked, told) and is_paid(told))


@given(snapshots, st.sampled_from(MORE_MISMATCHES))
def test_one_wrong_field_is_enough_not_to_settle(
    told: InvoiceSnapshot, wrong: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert rule(replace(ASKED, **wrong[0]), replace(told, **wrong[1])).ruling != Ruling.SETTLE


@given(asked_for, snapshots)
def test_an_unknown_state_changes_nothing(asked: Expected, told: InvoiceSnapshot) -> None:
    assert rule(asked, replace(told, state=PayState.UNKNOWN)) == Ruled(Ruling.HOLD)


@given(asked_for, snapshots)
def test_a_person_is_told_why_and_a_surplus_is_never_negative(asked: Expected, told: InvoiceSnapshot) -> None:
    ruled = rule(asked, told)
    assert (ruled.doubt is not None) == (ruled.ruling == Ruling.REVIEW or ruled.doubt == Doubt.MONEY_ON_INVALID)
    assert ruled.surplus_minor >= 0
    assert ruled.surplus_minor == 0 or ruled.ruling == Ruling.SETTLE


def test_of_several_attempts_the_strongest_ruling_counts() -> None:
    order = ["settle", "review", "processing", "pending", "hold", "underpaid", "expired", "invalid"]
    for stronger, weaker in pairwise(order):
        for pair in permutations([Ruled(Ruling(stronger)), Ruled(Ruling(weaker))]):
            assert strongest(list(pair)).ruling == stronger


def test_without_an_answer_nothing_is_known() -> None:
    assert strongest([]) == Ruled(Ruling.HOLD)


def test_every_doubt_is_told_in_words() -> None:
    assert set(DOUBTS) == set(Doubt)
    assert all(len(f"order_{doubt}") <= 64 for doubt in Doubt)
