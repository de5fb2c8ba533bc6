"""A daemon that dies at any statement of writing or sending deliveries: the next one does the rest.

What was sent and not written down is sent again, under the same id. Nothing else is told twice, and nothing is lost.
"""

from collections import Counter

from sqlalchemy import event

from keysat.infra.store import Store
from keysat.kit.ids import SeededChance
from keysat.webhooks.deliver import LEASE_SECONDS
from tests.webhooks.conftest import Teller, license_id
from tests.webhooks.receiver import receiving


class Killed(BaseException):
    """Not an Exception: nothing of the program may catch it and go on."""


async def dies(teller: Teller, database_url: str, last: int) -> bool:
    """A daemon that is dead from its statement or commit number `last` on. False: it was through before."""
    store = Store(database_url, SeededChance(last + 1000))
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements > last:
            raise Killed

    engine = store.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)
    try:
        await Teller(store, moment=teller.moment, vault=teller.vault).run()
    except (Killed, BaseExceptionGroup):
        return True
    finally:
        await store.close()
    return False


async def test_killed_at_any_statement_nothing_is_lost_or_written_twice(
    teller: Teller, database_url: str, database_kind: str
) -> None:
    async with receiving() as first, receiving() as second:
        for receiver in (first, second):
            await teller.endpoint(receiver.url)
        events, last = 0, 0
        while True:
            await teller.happen(1, 2, 1)
            events += 3
            if not await dies(teller, database_url, last):
                break
            teller.pass_by(seconds=LEASE_SECONDS + 1)
            await teller.run()
            last += 3 if database_kind == "sqlite" else 9
        assert last > 10, "so few statements do nothing"
        assert await teller.statuses() == {"delivered": 2 * events}
        deliveries = await teller.deliveries()
        assert set(Counter((row.endpoint_id, row.position) for row in deliveries).values()) == {1}
        for receiver in (first, second):
            assert len({one.id for one in receiver.taken}) == events
            assert len(receiver.taken) < 2 * events
            for number in (1, 2):
                about = [one for one in receiver.taken if str(license_id(number)).encode() in one.body]
                first_time = list(dict.fromkeys(int(one.headers["x-keysat-position"]) for one in about))
                assert first_time == sorted(first_time)
        for one in {one.id for one in first.taken}:
            assert len({twin.body for twin in first.taken if twin.id == one}) == 1
