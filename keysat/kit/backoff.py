"""How long to wait before trying again."""

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Backoff:
    """`delays` one after the other, after that `then` for ever; None means that the tries are used up."""

    delays: tuple[timedelta, ...]
    then: timedelta | None

    def after(self, failures: int) -> timedelta | None:
        """The wait after so many failures in a row, at least one. None: give up."""
        if failures < 1:
            raise ValueError(f"there is nothing to wait for after {failures} failures")
        return self.delays[failures - 1] if failures <= len(self.delays) else self.then


def with_jitter(delay: timedelta, fraction: Fraction, percent: int) -> timedelta:
    """The delay and up to `percent` of it more, by a `fraction` in [0, 1): never sooner."""
    added = delay // timedelta(microseconds=1) * fraction * percent // 100
    return delay + timedelta(microseconds=added)
