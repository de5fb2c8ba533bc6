"""What an import did, and what its operator should know."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

NAMED = 10  # of those that share a reason; the rest is counted

Named = dict[tuple[str, str], list[str]]
"""By kind, and by reason, which goes on after "it": what is concerned, by name."""


@dataclass(slots=True)
class Report:
    brought: Counter[str] = field(default_factory=Counter[str])
    """By kind: what is here now and was not before."""
    there: Counter[str] = field(default_factory=Counter[str])
    """By kind: what an earlier import had brought."""
    changed: Counter[str] = field(default_factory=Counter[str])
    """By what was done: what an earlier import had brought, and is now as it is there."""
    left: Named = field(default_factory=Named)
    """Rows that make no sense, or hang on one that does not."""
    differs: Named = field(default_factory=Named)
    """What is another there than here, and stays here as it is."""
    notes: list[str] = field(default_factory=list[str])
    """A sentence each: what was changed on the way, is not kept here, or is to be looked at."""

    @property
    def missing(self) -> int:
        """How many rows were left behind."""
        return sum(map(len, self.left.values()))

    def note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def not_kept(self, count: int, what: str) -> None:
        if count:
            self.notes.append(f"Not kept here: {count} {what}.")

    def leave(self, kind: str, name: object, why: str) -> None:
        self.left.setdefault((kind, why), []).append(str(name))

    def differ(self, kind: str, name: object, why: str) -> None:
        self.differs.setdefault((kind, why), []).append(str(name))

    def summary(self) -> dict[str, object]:
        """All of it, for a program."""
        return {
            "brought": self.brought,
            "there": self.there,
            "changed": self.changed,
            "left": _listed(self.left),
            "differs": _listed(self.differs),
            "notes": self.notes,
        }

    def lines(self) -> Iterator[str]:
        """All of it, for a person."""
        for kind in sorted(self.brought.keys() | self.there.keys()):
            yield f"{kind}: {self.brought[kind]} brought, {self.there[kind]} were here before"
        for what, count in sorted(self.changed.items()):
            yield f"as there by now: {count} {what}"
        yield from _told("Left behind", self.left)
        yield from _told("Another there than here", self.differs)
        yield from (f"- {note}" for note in self.notes)


def _listed(named: Named) -> list[dict[str, object]]:
    return [{"kind": kind, "why": why, "names": names} for (kind, why), names in sorted(named.items())]


def _told(what: str, named: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    for (kind, why), names in sorted(named.items()):
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"- {what}: {len(names)} {kind}; it {why}: {', '.join(names[:NAMED])}{more}"
