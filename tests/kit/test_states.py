from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.states import IllegalStep, Transitions, next_state


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    LOCKED = "locked"


class Act(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    LOCK = "lock"
    UNLOCK = "unlock"


DOOR: Transitions[Door, Act] = {
    (Door.OPEN, Act.SHUT): Door.SHUT,
    (Door.SHUT, Act.SHUT): Door.SHUT,
    (Door.SHUT, Act.OPEN): Door.OPEN,
    (Door.SHUT, Act.LOCK): Door.LOCKED,
    (Door.LOCKED, Act.UNLOCK): Door.SHUT,
}


def test_a_step_of_the_table_leads_to_its_state():
    assert next_state(DOOR, Door.SHUT, Act.LOCK) is Door.LOCKED


def test_a_step_that_the_table_lacks_is_illegal_and_says_so():
    with pytest.raises(IllegalStep, match="no 'open' from 'locked'") as refused:
        next_state(DOOR, Door.LOCKED, Act.OPEN)
    assert (refused.value.state, refused.value.step) == (Door.LOCKED, Act.OPEN)


@given(st.sampled_from(Door), st.sampled_from(Act))
def test_a_step_is_legal_exactly_where_the_table_allows_it(state: Door, step: Act):
    if (state, step) in DOOR:
        assert next_state(DOOR, state, step) in Door
    else:
        with pytest.raises(IllegalStep):
            next_state(DOOR, state, step)
