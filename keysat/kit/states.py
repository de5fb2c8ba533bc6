"""A state machine is a table: (state, step) -> next state. What is not in the table does not happen."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)
Step = TypeVar("Step", bound=StrEnum)

Transitions = Mapping[tuple[State, Step], State]


class IllegalStep(Exception):
    """The table has no such step from this state."""

    def __init__(self, state: StrEnum, step: StrEnum) -> None:
        super().__init__(f"no {step.value!r} from {state.value!r}")
        self.state = state
        self.step = step


def next_state(table: Transitions[State, Step], state: State, step: Step) -> State:
    """Raises IllegalStep when the table does not have it."""
    try:
        return table[state, step]
    except KeyError:
        raise IllegalStep(state, step) from None
