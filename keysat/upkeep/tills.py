"""The open tills of a shop, and those of them that tell rates, as the rows of the connections stand."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from keysat.payments.tables import ConnectionId
from keysat.payments.tills import Tills
from keysat.upkeep.shop import Shop

WITH_OWN_RATES = frozenset({"btcpay"})  # providers whose connections are sources of rates


async def refresh_tills(shop: Shop) -> None:
    """What this or another process connected and disconnected is known from now on, also as a source of rates."""
    await shop.tills.refresh()
    prefixes = tuple(f"{provider}-" for provider in WITH_OWN_RATES)
    known = {source.name for source in shop.board.health() if source.name.startswith(prefixes)}
    wanted = {
        f"{till.connection.provider}-{str(till.id)[:8]}": till.id
        for till in shop.tills.all()
        if till.sells and till.connection.provider in WITH_OWN_RATES
    }
    for name in known - wanted.keys():
        shop.board.remove_source(name)
    for name in wanted.keys() - known:
        shop.board.add_source(name, _asking(shop.tills, wanted[name]))


def _asking(tills: Tills, connection_id: ConnectionId) -> Callable[[str], Awaitable[Decimal | None]]:
    async def ask(currency: str) -> Decimal | None:
        return await (await tills.get(connection_id)).till.btc_rate(currency)

    return ask
