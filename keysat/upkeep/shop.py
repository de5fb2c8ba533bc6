"""The open shop: what every door and job of one process shares, put together from the settings in one place."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime

from keysat.checkout.desk import Desk
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.mail import Mailer
from keysat.infra.public_http import LOOPBACK, Resolve, resolve
from keysat.infra.settings import Settings
from keysat.infra.store import Store
from keysat.infra.telemetry import Telemetry
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.clock import Clock
from keysat.kit.ids import Chance
from keysat.licenses.ring import Ring
from keysat.operators.seen import LastSeen
from keysat.payments.connections import Office
from keysat.payments.rates.board import RateBoard
from keysat.payments.tills import Tills
from keysat.upkeep.operator_name import Nameplate
from keysat.upkeep.unnamed_proxy import UnnamedProxy
from keysat.upkeep.vendor import Vendor
from keysat.webhooks.attempt import Exchange


@dataclass(frozen=True, slots=True)
class Shop:
    settings: Settings
    mode: Mode
    clock: Clock
    chance: Chance
    store: Store
    telemetry: Telemetry
    vault: Vault
    ring: Ring  # the issuer keys, opened
    http: HttpClient
    mailer: Mailer
    board: RateBoard  # BTC rates
    tills: Tills  # the payment providers' open connections
    look_up: Resolve = resolve  # where the names are that webhooks go to
    seen: LastSeen = field(default_factory=LastSeen)  # operators' keys and sessions, until a job writes it down
    unnamed_proxy: UnnamedProxy = field(default_factory=UnnamedProxy)
    nameplate: Nameplate = field(default_factory=Nameplate)  # what the shop calls itself
    vendor: Vendor | None = None  # who licenses this program to its operator; as shipped, nobody

    def desk(self, now: datetime, actor: Actor) -> Desk:
        return Desk(self.store, now, actor, self.vault, self.tills, self.board, self.mode, self.settings.public_url)

    def office(self, now: datetime, actor: Actor) -> Office:
        return Office(self.store, now, actor, self.vault, self.http, self.mode, self.settings.public_url)

    @property
    def exchange(self) -> Exchange:
        """A sandbox shop's webhooks may go to this machine too."""
        networks = self.settings.webhook_networks + (LOOPBACK if self.mode == Mode.SANDBOX else ())
        return Exchange(self.store, self.vault, self.clock, networks, self.look_up, self.mode == Mode.SANDBOX)

    @property
    def operator_name(self) -> str | None:
        """Where no merchant profile has a name of its own."""
        return self.nameplate.stored or self.settings.operator_name

    def now(self) -> datetime:
        return self.clock.now()

    def work(self, actor: Actor) -> AbstractAsyncContextManager[Work]:
        return self.store.work(self.clock.now(), actor)

    def read(self) -> AbstractAsyncContextManager[Read]:
        return self.store.read()
