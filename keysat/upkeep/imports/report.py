"""What an import did, and what its operator should know."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    brought: Counter[str] = field(default_factory=Counter[str])
    """By kind: what is here now and was not before."""
    there: Counter[str] = field(default_factory=Counter[str])
    """By kind: what an earlier import had brought."""
    notes: list[str] = field(default_factory=list[str])
    """A sentence each: what was changed on the way, left behind, or is to be looked at."""

    def note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def left_behind(self, count: int, what: str) -> None:
        if count:
            self.notes.append(f"Left behind: {count} {what}.")
