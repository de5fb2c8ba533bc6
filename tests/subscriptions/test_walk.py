"""Years of anything in any order: what is refused leaves no trace, and what must hold, holds after each step."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import Random

import pytest

from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.periods import Period, Unit
from keysat.kit.states import IllegalStep
from keysat.licenses.standing import grace_end
from keysat.subscriptions import lifecycle, openings
from keysat.subscriptions.moves import change_price
from keysat.subscriptions.read import lapsing, unpaid
from keysat.subscriptions.rules import Act, act_at
from keysat.subscriptions.tables import SubscriptionStatus
from tests.catalog.shelf import MONTHLY
from tests.subscriptions.subscriber import DAY, MONTH, Subscriber

S = SubscriptionStatus
YEARS = 5 * 365 * DAY
TIERS: list[tuple[str, int, Period | None]] = [
    ("pro", 2400, MONTH),
    ("club", 600, MONTH),
    ("year", 10_000, Period(1, Unit.YEAR)),
    ("ever", 50_000, None),
]


async def pass_of_the_job(subscriber: Subscriber, chance: Random) -> None:
    async with subscriber.work() as work:
        holder, claimed = await openings.claim(work)
    for row in claimed:
        if act_at(row, grace_end(await subscriber.license()), subscriber.now) is not Act.OPEN:
            continue
        if chance.random() < 0.2:
            async with subscriber.work() as work:
                await openings.failed(work, row.id, "provider_unreachable")
        else:
            await subscriber.open(payable=chance.random() < 0.9)
    async with subscriber.work() as work:
        await openings.let_go(work, holder, claimed)
        for row_id in await unpaid(work, subscriber.now):
            assert await lifecycle.fall_due(work, row_id) or await lifecycle.end_period(work, row_id)
        for row_id in await lapsing(work, subscriber.now):
            assert (await lifecycle.lapse(work, row_id))[0]


async def change_tier(subscriber: Subscriber, chance: Random, moves: list[int]) -> None:
    slug, value, period = chance.choice(TIERS)
    moves.append(value)
    recurring = MONTHLY if period else {}
    worth = chance.choice([None, value])
    await subscriber.move(
        f"{slug}-{len(moves)}", value, period, is_anew=chance.random() < 0.5, worth=worth, paid=worth or 0, **recurring
    )


@pytest.mark.once
async def test_years_of_anything_break_nothing(subscriber: Subscriber) -> None:
    chance = Random(22)
    row = await subscriber.subscribe(trial_days=14)
    start, moves = subscriber.now, list[int]()

    def verb(act: Callable[[Work], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            async with subscriber.work() as work:
                await act(work)

        return run

    async def pay() -> None:
        open_cycle = [cycle for cycle in await subscriber.cycles() if cycle.paid_at is None]
        await subscriber.pay(open_cycle[0].order_id if open_cycle else None, chance.choice([0, 600, 1200]))

    acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
        (60, pay),
        (2, verb(lambda work: lifecycle.cancel(work, row.id, reason=None, at_period_end=True))),
        (1, verb(lambda work: lifecycle.cancel(work, row.id, reason=None))),
        (4, verb(lambda work: lifecycle.keep_on(work, row.id))),
        (3, verb(lambda work: lifecycle.pause(work, row.id))),
        (9, verb(lambda work: lifecycle.resume(work, row.id))),
        (4, verb(lambda work: openings.unpark(work, row.id))),
        (3, verb(lambda work: change_price(work, row.id, chance.randrange(3000), reason="Costs."))),
        (4, lambda: change_tier(subscriber, chance, moves)),
    ]
    refused = done = 0
    while subscriber.now < start + YEARS:
        subscriber.now += chance.choice([3, 7, 12, 30]) * DAY + timedelta(seconds=chance.randrange(86_400))
        await pass_of_the_job(subscriber, chance)
        if chance.random() < 0.6:
            [act] = chance.choices([act for _, act in acts], [weight for weight, _ in acts])
            try:
                await act()
                done += 1
            except (Conflict, IllegalStep, BadRequest):
                refused += 1
            assert await subscriber.broken() == [], subscriber.now
        await says_the_truth(subscriber, subscriber.now)
    assert min(done, refused) > 10
    assert len(await subscriber.cycles()) > 10


async def says_the_truth(subscriber: Subscriber, now: datetime) -> None:
    """What the app hears follows what is paid."""
    row, license = await subscriber.row(), await subscriber.license()
    if not license.is_subscribed or now < row.paid_through:
        assert await subscriber.state(now) == "ok"
    elif row.status is S.PAST_DUE:
        assert row.lapses_at is not None
        assert await subscriber.state(now) == ("grace" if now < row.lapses_at else "expired")
    elif row.status in (S.LAPSED, S.PAUSED):
        assert await subscriber.state(now) == "expired"
