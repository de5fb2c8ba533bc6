"""Are the connections well? What was disconnected, and has nothing left to be paid, gives its key back."""

from datetime import datetime

from keysat.infra.events import Actor
from keysat.payments.check import check
from keysat.payments.disconnect import release_idle
from keysat.upkeep.shop import Shop
from keysat.upkeep.tills import refresh_tills

CHECKER = Actor("job:health")


async def check_connections(shop: Shop, now: datetime) -> None:
    office = shop.office(now, CHECKER)
    await refresh_tills(shop)
    for till in shop.tills.all():
        if till.sells:
            await check(office, till)
    await release_idle(office, shop.tills)
    await refresh_tills(shop)
