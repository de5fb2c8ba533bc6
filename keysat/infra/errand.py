"""An errand: short transactions with the network between them, all of one moment and for one actor."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime

from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.work import Read, Work


@dataclass(frozen=True, slots=True)
class Errand:
    """What every errand needs. Slices add what theirs go with, and a door or job makes one anew for each."""

    store: Store
    now: datetime
    actor: Actor

    def work(self) -> AbstractAsyncContextManager[Work]:
        return self.store.work(self.now, self.actor)

    def read(self) -> AbstractAsyncContextManager[Read]:
        return self.store.read()
