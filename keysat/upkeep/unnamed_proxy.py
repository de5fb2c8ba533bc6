"""A proxy in front of the shop that no setting names: all who come through it share the limits of one address.

The doors note it in memory, a job puts it on the "needs attention" list: one line, whatever is sent.
"""

from datetime import datetime

from keysat.infra.attention import clear
from keysat.infra.events import Actor
from keysat.infra.log import get
from keysat.infra.settings import Settings
from keysat.infra.store import Store

SETTING = "KEYSAT_TRUSTED_PROXIES"
UNNAMED = "proxy_unnamed"
WATCHER = Actor("job:proxies")

log = get(__name__)


class UnnamedProxy:
    """The first one that this process met. Another setting means another process."""

    def __init__(self) -> None:
        self.requests = 0
        self._address: str | None = None
        self._told: str | None = None
        self._is_new = True

    def met(self, address: str) -> None:
        self.requests += 1
        if self._address is None:
            self._address = address
            log.warning("proxy.unnamed", setting=SETTING, address=address)

    async def tell(self, store: Store, settings: Settings, now: datetime) -> None:
        """A new process that names proxies forgets what an earlier one met.

        What a person took off the list stays off it until then.
        """
        address, forgets = self._address, self._is_new and bool(settings.trusted_proxies)
        if address == self._told and not forgets:
            return
        async with store.work(now, WATCHER) as work:
            if forgets:
                await clear(work, SETTING, UNNAMED)
            if address is not None:
                await work.attend(UNNAMED, SETTING, _words(address, settings))
        self._told, self._is_new = address, False


def _words(address: str, settings: Settings) -> str:
    named = ",".join([*map(str, settings.trusted_proxies), address])
    return (
        f"Requests come through {address}, which {SETTING} does not name: all visitors who come that way share one "
        f"limit. If that is your proxy, set it to {named}."
    )
