"""The order's states, as `architecture.md` 5 writes them down."""

from keysat.checkout.tables import ORDER, PUBLIC_WORD, OrderStatus, Step

LEADS_TO = {
    "draft": "awaiting fulfilled invalid",
    "awaiting": "processing paid fulfilled underpaid expired invalid review",
    "processing": "awaiting paid fulfilled expired invalid review",
    "paid": "fulfilled",
    "fulfilled": "",
    "underpaid": "paid fulfilled expired review",
    "expired": "paid fulfilled review",
    "invalid": "paid fulfilled review",
    "review": "paid fulfilled expired invalid",
}
WORDS = {
    "draft": "pending",
    "awaiting": "pending",
    "processing": "pending",
    "paid": "pending",
    "fulfilled": "settled",
    "underpaid": "expired",
    "expired": "expired",
    "invalid": "invalid",
    "review": "pending",
}


def test_each_state_leads_where_it_is_written_to_lead() -> None:
    leads = {state.value: {to.value for (origin, _), to in ORDER.items() if origin == state} for state in OrderStatus}
    assert leads == {state: set(targets.split()) for state, targets in LEADS_TO.items()}


def test_one_step_leads_to_one_state_wherever_it_starts() -> None:
    for step in Step:
        assert len({to for (_, taken), to in ORDER.items() if taken == step}) == 1, step


def test_buyers_read_one_of_four_words() -> None:
    assert {state.value: word for state, word in PUBLIC_WORD.items()} == WORDS


def test_late_money_is_money_in_every_state_that_is_no_sale() -> None:
    assert {state for state, step in ORDER if step is Step.FULFIL} == set(OrderStatus) - {OrderStatus.FULFILLED}
