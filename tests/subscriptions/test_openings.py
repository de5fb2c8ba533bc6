"""Opening the next order: who may, how often, what a failure does, and a saved card's one try."""

from asyncio import gather
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from keysat.infra.tables import AttentionRow
from keysat.kit.errors import Conflict
from keysat.kit.states import IllegalStep
from keysat.licenses.issue import revoke
from keysat.subscriptions import openings
from keysat.subscriptions.happenings import SkipReason
from keysat.subscriptions.lifecycle import cancel, end_for_license, fall_due
from keysat.subscriptions.read import cycle_of_order, unpaid
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from tests.subscriptions.subscriber import DAY, Subscriber


async def test_one_claims_what_is_due_and_another_finds_it_taken(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    for now, count in ((row.paid_through - 3 * DAY - timedelta(seconds=1), 0), (row.paid_through - 3 * DAY, 1)):
        subscriber.now = now
        async with subscriber.work() as work:
            holder, claimed = await openings.claim(work)
            assert len(claimed) == count
    async with subscriber.work() as work:
        assert (await openings.claim(work))[1] == []
        await openings.let_go(work, holder, claimed)  # nothing was done
        assert (await openings.claim(work))[1] == []
    await subscriber.open()
    async with subscriber.work() as work:
        await openings.let_go(work, "another", claimed)
        assert (await work.get(Subscription, row.id)).leased_by == holder
        await openings.let_go(work, holder, claimed)
    row = await subscriber.row()
    assert (row.leased_by, row.next_attempt_at, row.status) == (None, None, SubscriptionStatus.ACTIVE)


async def test_a_second_order_for_a_cycle_supersedes_the_first_and_keeps_its_number(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    first, second = await subscriber.open(), await subscriber.open()
    [_, cycle] = await subscriber.cycles()
    assert (cycle.number, cycle.order_id, cycle.starts_at) == (2, second, row.paid_through)
    assert (await subscriber.told()).count("renewal_pending") == 1
    async with subscriber.work() as work:
        await openings.opened(work, row.id, first, 1200)
        assert await cycle_of_order(work, first) is None
    with pytest.raises(Conflict, match="another one took its place"):
        await subscriber.pay(first)
    await subscriber.pay(second)
    with pytest.raises(Conflict):
        await subscriber.pay(second)
    assert [(cycle.number, cycle.worth) for cycle in await subscriber.cycles()] == [(1, 1200), (2, 1200)]


async def test_failures_back_off_and_the_fifth_parks(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe(renewal_lead_days=0)
    subscriber.now = row.paid_through
    waits: list[timedelta | None] = []
    for _ in range(5):
        async with subscriber.work() as work:
            holder, claimed = await openings.claim(work)
            assert len(claimed) == 1
        async with subscriber.work() as work:
            await openings.failed(work, row.id, "provider_unreachable")
            row = await work.get(Subscription, row.id)
            await openings.let_go(work, holder, claimed)
            if await fall_due(work, row.id):
                assert (row.status, row.consecutive_failures) == (SubscriptionStatus.PAST_DUE, 1)
        waits.append(row.next_attempt_at - subscriber.now if row.next_attempt_at else None)
        subscriber.now = row.next_attempt_at or subscriber.now + 9 * DAY
    minute = timedelta(minutes=1)
    assert waits == [5 * minute, 30 * minute, 120 * minute, 360 * minute, None]
    async with subscriber.work() as work:
        assert (await openings.claim(work))[1] == []
        assert (await work.get(Subscription, row.id)).parked_reason == "provider_unreachable"
        assert list(await unpaid(work, subscriber.now)) == []
        await openings.failed(work, row.id, "late")
        assert (await work.get(Subscription, row.id)).consecutive_failures == 5
        assert [call.kind for call in await work.session.scalars(select(AttentionRow))] == ["subscription_parked"]
        assert await openings.unpark(work, row.id)
        assert not await openings.unpark(work, row.id)
        assert list(await work.session.scalars(select(AttentionRow))) == []
        assert [claimed.id for claimed in (await openings.claim(work))[1]] == [row.id]


async def test_a_failure_that_comes_after_the_payment_opens_nothing_early(subscriber: Subscriber) -> None:
    """The provider was slow to refuse; meanwhile another order paid the period, or a change of tier began another."""
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through - 3 * DAY
    paid = await subscriber.pay()
    async with subscriber.work() as work:
        await openings.failed(work, row.id, "provider_refused")
    row = await subscriber.row()
    assert (row.consecutive_failures, row.next_attempt_at) == (0, paid.next_attempt_at)
    assert "renewal_failed" not in await subscriber.told()


async def test_a_failure_before_the_end_of_what_is_paid_makes_nothing_past_due(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through - 3 * DAY
    async with subscriber.work() as work:
        await openings.failed(work, row.id, "rate_unavailable")
        row = await work.get(Subscription, row.id)
        assert (row.status, row.consecutive_failures) == (SubscriptionStatus.ACTIVE, 1)
    await subscriber.open()
    row = await subscriber.row()
    assert (row.consecutive_failures, row.next_attempt_at) == (0, None)


async def test_what_must_not_be_billed_is_told_once_and_looked_at_daily(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    for day in range(3):
        subscriber.now = row.paid_through - (3 - day) * DAY
        async with subscriber.work() as work:
            assert len((await openings.claim(work))[1]) == 1
            await openings.skip(work, row.id, SkipReason.LICENSE_SUSPENDED)
    assert (await subscriber.told()).count("renewal_skipped") == 1


async def test_a_saved_card_is_asked_once_for_a_cycle(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    order = await subscriber.open()
    async with subscriber.work() as work:
        await openings.keep_profile(work, row.id, UUID(int=1), "card-1")
        assert await openings.begin_charge(work, row.id, order)
        assert not await openings.begin_charge(work, row.id, order)
        await openings.charge_failed(work, row.id, order, "declined")
    again = await subscriber.open()
    async with subscriber.work() as work:
        assert not await openings.begin_charge(work, row.id, again)
    assert (await subscriber.row()).profile_id == "card-1"
    assert (await subscriber.told())[-2:] == ["auto_charge_initiated", "auto_charge_failed"]


async def test_nothing_is_opened_for_what_has_ended(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    async with subscriber.work() as work:
        await cancel(work, row.id, reason=None)
    with pytest.raises(Conflict, match="does not renew"):
        await subscriber.open()


async def test_many_at_once_claim_pay_and_revoke_each_thing_once(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through - 3 * DAY
    claims: list[int] = []
    paid: list[bool] = []

    async def claim() -> None:
        async with subscriber.work() as work:
            claims.append(len((await openings.claim(work))[1]))

    async def pay(order: UUID) -> None:
        try:
            await subscriber.pay(order)
        except (Conflict, IllegalStep):
            paid.append(False)
        else:
            paid.append(True)

    async def end() -> None:
        async with subscriber.work() as work:
            await revoke(work, subscriber.license_id, "refunded")
            await end_for_license(work, subscriber.license_id)

    await gather(*(claim() for _ in range(4)))
    order = await subscriber.open()
    await gather(*(pay(order) for _ in range(4)))
    assert (sum(claims), paid.count(True)) == (1, 1)
    order = await subscriber.open()
    await gather(*(pay(order) for _ in range(3)), end())
    assert (await subscriber.row()).status is SubscriptionStatus.CANCELLED
    assert (await subscriber.row()).cycle_number in (2, 3)
