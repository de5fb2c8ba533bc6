"""Nothing is lost, nothing is told twice, and nobody waits for another."""

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select

from keysat.infra.store import Store
from keysat.kit.ids import SeededChance
from keysat.webhooks import attempt
from keysat.webhooks.attempt import AGAIN, IN_FLIGHT_MOST
from keysat.webhooks.deliver import work_off
from keysat.webhooks.deliveries import attempts, replay
from keysat.webhooks.endpoints import EndpointEdit, delete, edit, rotate, signers
from keysat.webhooks.forget import forget
from keysat.webhooks.sign import verify
from keysat.webhooks.tables import Delivery, DeliveryStatus, Endpoint
from tests.conftest import TESTER
from tests.webhooks.conftest import Teller, license_id, telling
from tests.webhooks.receiver import HANGS, Receiver, receiving


def ids(receiver: Receiver) -> list[str]:
    return [one.id for one in receiver.taken]


async def test_a_receiver_that_is_down_for_three_days_gets_all_in_order_and_none_twice(teller: Teller) -> None:
    async with receiving(status=503) as receiver, receiving() as well:
        await teller.endpoint(receiver.url)
        await teller.endpoint(well.url)
        for _ in range(3):
            await teller.happen(1, 2)
            await teller.happen_otherwise(1, 2)
            await teller.travel(days=1)
        assert (receiver.taken, len(well.taken)) == ([], 12)
        assert len(receiver.requests) > 3 * 4
        receiver.status = 200
        await teller.travel(days=1, hours=3)
        assert Counter(ids(receiver)).most_common(1)[0][1] == 1
        turns = ["license.suspended", "license.key_replaced"] * 3
        for number in (1, 2):
            assert [name for name, _ in receiver.told(str(license_id(number)))] == turns
        assert await teller.statuses() == {"delivered": 24}
        for one in {request.id for request in receiver.requests}:  # byte by byte the same at each attempt
            assert len({request.body for request in receiver.requests if request.id == one}) == 1


@pytest.mark.once
async def test_ten_attempts_then_a_dead_letter_that_can_be_replayed(teller: Teller) -> None:
    async with receiving(status=500, words="é" * 900) as receiver:
        shown = await teller.endpoint(receiver.url)
        began = teller.now()
        await teller.happen(1)
        await teller.happen(2)
        await teller.travel(hours=23)
        assert await teller.calls() == []
        await teller.travel(hours=12)
        [failing] = await teller.calls()
        assert failing.startswith("127.0.0.1 has taken no webhook since 2026-01-15 12:00 UTC: answered 500.")
        await teller.travel(days=4)
        assert Counter(one.id for one in receiver.requests).most_common() == [
            (str(row.id), 10) for row in await teller.deliveries()
        ]
        [dead, _] = await teller.deliveries()
        assert (dead.status, dead.failures, dead.answer_status) == (DeliveryStatus.FAILED, 10, 500)
        assert await teller.calls() == [
            failing,
            "127.0.0.1 did not take a webhook in 10 attempts: answered 500.",
        ]
        health = await teller.health()
        assert (health.failing_since, health.consecutive_failures, health.dead_letters) == (began, 20, 2)
        assert (health.last_failure, health.last_success_at) == ("answered 500", None)
        assert (await teller.events("webhook_delivery")) == ["webhook_delivery.failed"] * 2
        async with teller.store.read() as read:
            tried = await attempts(read, dead.id)
        assert [one.number for one in tried] == [*range(1, 11)]
        waits = [later.at - earlier.at for earlier, later in pairwise(tried)]
        assert all(planned <= wait <= planned * 1.1 for planned, wait in zip(AGAIN.delays, waits, strict=True))
        assert timedelta(hours=75, minutes=35) < tried[-1].at - began < timedelta(hours=84)
        assert tried[0].answer == "é" * 200

        receiver.status = 204
        async with teller.store.work(teller.now(), TESTER) as work:
            done = await replay(work, shown.endpoint.id, until=began + timedelta(days=1))
        assert (done.deliveries, done.has_more) == (2, False)
        await teller.run()
        assert Counter(ids(receiver)) == Counter(str(row.id) for row in await teller.deliveries())
        assert await teller.calls() == []
        assert await teller.statuses() == {"delivered": 2}
        health = await teller.health()
        assert (health.failing_since, health.consecutive_failures, health.dead_letters) == (None, 0, 0)
        assert (health.last_failure, health.last_success_at) == ("answered 500", teller.now())


@pytest.mark.once
async def test_one_that_hangs_or_is_gone_does_not_delay_another(
    teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "TIMEOUT_SECONDS", 120)  # it hangs to the end, however slow this machine is
    async with receiving(status=HANGS) as hangs, receiving() as well:
        await teller.endpoint(hangs.url)
        await teller.endpoint("http://127.0.0.1:9/closed")
        await teller.endpoint(well.url)
        await teller.happen(*range(40))
        running = asyncio.create_task(teller.run())
        async with asyncio.timeout(60):
            await well.has_taken(40)
            await teller.happen(99)
            await well.has_taken(41)  # also what happens while another hangs
            while (await teller.statuses())["delivered"] < 41:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert hangs.under_way == IN_FLIGHT_MOST
        assert not running.done()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with teller.store.read() as read:
            assert set(await read.session.scalars(select(Endpoint.leased_by))) == {None}  # the next run goes on at once


@pytest.mark.once
async def test_few_at_once_and_one_after_another_about_one_object(teller: Teller) -> None:
    async with receiving(seconds=0.01) as receiver:
        await teller.endpoint(receiver.url)
        await teller.happen(*[1] * 12)
        await teller.run()
        assert receiver.under_way_most == 1
        assert [one.headers["x-keysat-position"] for one in receiver.taken] == [str(number) for number in range(2, 14)]
        receiver.seconds = 0.1  # all that may be under way have come by then
        await teller.happen(*range(20))
        await teller.run()
        assert receiver.under_way_most == IN_FLIGHT_MOST


@pytest.mark.once
async def test_a_failure_holds_back_what_follows_about_the_same_object_alone(teller: Teller) -> None:
    async with receiving() as receiver:
        receiver.answer = lambda request: 500 if str(license_id(1)) in request.body.decode() else 200
        await teller.endpoint(receiver.url)
        await teller.happen(1, 2, 1, 2)
        await teller.run()
        assert (len(receiver.requests), len(receiver.taken)) == (3, 2)
        await teller.happen(1, 2)  # written while the first one waits for its second attempt
        await teller.run()
        assert (len(receiver.requests), len(receiver.taken)) == (4, 3)
        receiver.answer = None
        await teller.travel(seconds=6)
        assert [one.headers["x-keysat-position"] for one in receiver.taken] == ["3", "5", "7", "2", "4", "6"]


@pytest.mark.once
async def test_a_receiver_may_ask_for_more_time_and_never_for_less(teller: Teller) -> None:
    async with receiving(status=429) as receiver:
        await teller.endpoint(receiver.url)
        for asked, seconds in (("7200", 7200), ("0", 5 * 60), ("999999999", 24 * 3600)):
            receiver.extra = {"Retry-After": asked}
            await teller.happen(1) if asked == "7200" else None
            await teller.run()
            due = await teller.next_due()
            assert due is not None
            wait = (due - teller.now()).total_seconds()
            assert seconds <= wait <= seconds * 1.1
            teller.moment = due


@pytest.mark.once
async def test_a_redirect_is_a_failure_and_is_not_followed(teller: Teller) -> None:  # D-39
    async with receiving() as inside, receiving(status=307) as receiver:
        receiver.extra = {"Location": inside.url}
        await teller.endpoint(receiver.url)
        await teller.happen(1)
        await teller.run()
        [row] = await teller.deliveries()
        assert (row.answer_status, row.error, inside.requests) == (307, "answered 307", [])


@pytest.mark.once
async def test_a_disabled_endpoint_keeps_what_waits_and_a_deleted_one_gives_it_up(teller: Teller) -> None:
    async with receiving() as receiver:
        shown = await teller.endpoint(receiver.url, event_types=["license.*"])
        async with teller.store.work(teller.now(), TESTER) as work:
            await edit(work, shown.endpoint.id, EndpointEdit(active=False))
        await teller.happen(1, 2)
        await teller.run()
        assert (receiver.requests, await teller.statuses()) == ([], {"pending": 2})
        teller.pass_by(days=60)
        async with teller.store.work(teller.now(), TESTER) as work:
            await edit(work, shown.endpoint.id, EndpointEdit(active=True))
        await teller.run()
        assert (len(receiver.taken), await teller.statuses()) == (2, {"delivered": 2})
        receiver.status = 500
        await teller.happen(1, 1, 2)
        await teller.run()
        async with teller.store.work(teller.now(), TESTER) as work:
            await delete(work, shown.endpoint.id)
        before = len(receiver.requests)
        await teller.travel(hours=1)
        assert await teller.statuses() == {"delivered": 2, "failed": 3}
        assert (len(receiver.requests), await teller.calls()) == (before, [])


@pytest.mark.once
async def test_what_was_sent_can_be_verified_while_the_secret_changes(teller: Teller) -> None:
    async with receiving() as receiver:
        shown = await teller.endpoint(receiver.url)
        await teller.happen(1)
        await teller.run()
        now = teller.now()
        assert verify(shown.secret, receiver.taken[-1].headers, receiver.taken[-1].body, now) is None
        async with teller.store.work(now, TESTER) as work:
            rotated = await rotate(work, teller.vault, shown.endpoint.id)
        await teller.happen(2)
        await teller.run()
        [_, both] = receiver.taken
        assert verify(rotated.secret, both.headers, both.body, now) is None
        assert len(both.headers["webhook-signature"].split()) == 4
        teller.pass_by(hours=24, seconds=1)
        async with teller.store.work(teller.now(), TESTER) as work:
            await forget(work)
        await teller.happen(3)
        await teller.run()
        assert len(receiver.taken[-1].headers["webhook-signature"].split()) == 2
        async with teller.store.read() as read:
            assert len((await signers(read, teller.vault, [shown.endpoint.id]))[shown.endpoint.id]) == 1
        assert shown.secret.encode() not in b"".join(one.body for one in receiver.requests)


@pytest.mark.once
async def test_an_endpoint_is_told_what_happens_after_it_was_made_and_a_sandbox_says_so(store: Store) -> None:
    async with telling(store, is_sandbox=True) as teller, receiving() as receiver, receiving() as picky:
        await teller.happen(1)
        await teller.endpoint(receiver.url)
        await teller.endpoint(picky.url, event_types=["license.key_replaced", "order.*"])
        await teller.happen(2)
        await teller.happen_otherwise(3)
        await teller.run()
        assert [one.json["data"]["license_id"][-1] for one in receiver.taken] == ["2", "3"]
        assert [one.event_type for one in picky.taken] == ["license.key_replaced"]
        assert receiver.taken[0].json["sandbox"] is True


async def test_of_two_daemons_one_sends_each_delivery(teller: Teller, database_url: str) -> None:
    """On PostgreSQL as on SQLite: an endpoint's lane is in one of them."""
    other = Store(database_url, SeededChance(9))
    try:
        async with receiving(seconds=0.002) as first, receiving(seconds=0.002) as second:
            for receiver in (first, second):
                await teller.endpoint(receiver.url)
            twin = Teller(other, vault=teller.vault)

            async def sell() -> None:
                for number in range(8):
                    await teller.happen(number % 5, number % 3, number)

            async def serve(daemon: Teller) -> None:
                for _ in range(8):
                    await work_off(daemon.exchange)
                    await asyncio.sleep(0.01)

            await asyncio.gather(serve(teller), serve(twin), sell())
            await teller.run()
            for receiver in (first, second):
                assert len(receiver.taken) == 24
                assert len(set(ids(receiver))) == 24
                assert receiver.under_way_most <= IN_FLIGHT_MOST
                for number in range(5):
                    about = [one for one in receiver.taken if one.json["data"]["license_id"] == str(license_id(number))]
                    positions = [int(one.headers["x-keysat-position"]) for one in about]
                    assert positions == sorted(positions)
            assert await teller.statuses() == {"delivered": 48}
            async with teller.store.read() as read:
                assert len(set(await read.session.scalars(select(Delivery.id)))) == 48
    finally:
        await other.close()
