"""Subscriptions: list, show, cancel, keep-on, pause, resume, retry, price."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir, paged
from keysat.cli.output import show_list, show_one
from keysat.cli.prices import price_text


@click.group()
def subscription() -> None:
    """What is paid by the period. ID is a subscription's id, or its license's, or the license's key."""


@subscription.command("list")
@data_dir
@as_json
@paged
@option("--status", type=click.Choice(["active", "past_due", "lapsed", "paused", "cancelled"]))
def list_all(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None, status: str | None) -> None:
    """The newest first."""
    from keysat.cli.opened import inside
    from keysat.kit.paging import Page
    from keysat.subscriptions.read import SubscriptionFilter, list_subscriptions
    from keysat.subscriptions.tables import Subscription, SubscriptionStatus
    from keysat.upkeep.shop import Shop

    wanted = SubscriptionFilter(status=SubscriptionStatus(status) if status else None)

    async def act(shop: Shop) -> Page[Subscription]:
        async with shop.read() as read:
            return await list_subscriptions(read, wanted, limit, cursor)

    page = inside(data_dir, act, seals=False)
    rows = [
        {
            "id": row.id,
            "status": row.status,
            "price": price_text(row.listed_currency, row.listed_value),
            "paid_through": row.paid_through,
            "next_attempt_at": row.next_attempt_at,
            "parked": row.parked_at is not None,
            **({"license_id": row.license_id, "customer_id": row.customer_id} if as_json else {}),
        }
        for row in page.items
    ]
    show_list(rows, as_json=as_json, nothing="There are no such subscriptions.", next_cursor=page.next_cursor)


@subscription.command()
@data_dir
@as_json
@argument("subscription_id", metavar="ID")
def show(data_dir: Path | None, as_json: bool, subscription_id: str) -> None:
    """One subscription, with its cycles, the latest first."""
    from keysat.cli.opened import inside
    from keysat.subscriptions.read import cycles_of
    from keysat.subscriptions.tables import Subscription
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.read() as read:
            row = await read.get(Subscription, await _id_of(read, subscription_id))
            cycles = await cycles_of(read, row.id)
        return {
            "id": row.id,
            "license_id": row.license_id,
            "status": row.status,
            "price": price_text(row.listed_currency, row.listed_value),
            "period": f"{row.period_count} {row.period_unit}",
            "new_price": price_text(row.listed_currency, row.next_value) if row.next_value is not None else None,
            "new_price_from_cycle": row.next_value_from,
            "paid_through": row.paid_through,
            "next_attempt_at": row.next_attempt_at,
            "failures": row.consecutive_failures,
            "parked_at": row.parked_at,
            "lapses_at": row.lapses_at,
            "ends_with_its_period": row.cancel_at_period_end,
            "reason": row.cancellation_reason,
            "cycles": [
                f"{one.number}: {one.starts_at:%Y-%m-%d} to {one.ends_at:%Y-%m-%d} {'paid' if one.paid_at else 'open'}"
                for one in cycles
            ],
        }

    show_one(inside(data_dir, act, seals=False), as_json=as_json)


@subscription.command()
@data_dir
@argument("subscription_id", metavar="ID")
@option("--reason", help="For yourself.")
@option("--at-period-end", is_flag=True, help="When what is paid is over, and not at once.")
@option("--yes", is_flag=True, help="Do not ask.")
def cancel(data_dir: Path | None, subscription_id: str, reason: str | None, at_period_end: bool, yes: bool) -> None:
    """No further renewal; the license keeps its end."""
    from keysat.checkout.subscribed import cancel as verb
    from keysat.infra.work import Work

    if not yes:
        click.confirm("A cancelled subscription never renews again. Cancel it", abort=True)

    async def act(work: Work, known: UUID) -> object:
        return await verb(work, known, reason=reason, at_period_end=at_period_end)

    _act(data_dir, subscription_id, act)


@subscription.command("keep-on")
@data_dir
@argument("subscription_id", metavar="ID")
def keep_on(data_dir: Path | None, subscription_id: str) -> None:
    """Take back that it ends with its period."""
    from keysat.checkout import subscribed

    _act(data_dir, subscription_id, subscribed.keep_on)


@subscription.command()
@data_dir
@argument("subscription_id", metavar="ID")
def pause(data_dir: Path | None, subscription_id: str) -> None:
    """Bill nothing; the license holds through what is paid."""
    from keysat.checkout import subscribed

    _act(data_dir, subscription_id, subscribed.pause)


@subscription.command()
@data_dir
@argument("subscription_id", metavar="ID")
def resume(data_dir: Path | None, subscription_id: str) -> None:
    """Let a paused one go on."""
    from keysat.checkout import subscribed

    _act(data_dir, subscription_id, subscribed.resume)


@subscription.command()
@data_dir
@argument("subscription_id", metavar="ID")
def retry(data_dir: Path | None, subscription_id: str) -> None:
    """Open the next order of one that is parked. `keysat serve` does the opening."""
    from keysat.checkout import subscribed

    _act(data_dir, subscription_id, subscribed.retry)


@subscription.command("price")
@data_dir
@argument("subscription_id", metavar="ID")
@argument("amount")
@option("--reason", required=True, help="The buyer is told.")
@option("--from-cycle", type=click.IntRange(min=1), help="The first that costs this much; else the first possible.")
def change_price(data_dir: Path | None, subscription_id: str, amount: str, reason: str, from_cycle: int | None) -> None:
    """A new list price in whole units, such as 15.00, at least 14 days ahead."""
    from keysat.infra.work import Work
    from keysat.kit.money import Money
    from keysat.subscriptions import moves
    from keysat.subscriptions.tables import Subscription

    async def act(work: Work, known: UUID) -> object:
        value = Money.parse(amount, (await work.get(Subscription, known)).listed_currency).minor
        return await moves.change_price(work, known, value, reason=reason, from_cycle=from_cycle)

    _act(data_dir, subscription_id, act)


def _act(data_dir: Path | None, text: str, verb: Callable[[Any, UUID], Awaitable[object]]) -> None:
    from keysat.cli.opened import CLI, inside
    from keysat.subscriptions.tables import Subscription
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> str:
        async with shop.work(CLI) as work:
            known = await _id_of(work, text)
            await verb(work, known)
            row = await work.get(Subscription, known)
            ends = f", and ends on {row.paid_through:%Y-%m-%d}" if row.cancel_at_period_end else ""
            told = f"Subscription {row.id} is {row.status}{ends}."
            if row.next_value is not None:
                told += (
                    f" It costs {price_text(row.listed_currency, row.next_value)} from cycle {row.next_value_from} on."
                )
            return told

    click.echo(inside(data_dir, act))


async def _id_of(read: Any, text: str) -> UUID:
    """Raises BadRequest, NotFound."""
    from keysat.cli.license import id_of
    from keysat.kit.errors import NotFound
    from keysat.subscriptions.read import subscription_of
    from keysat.subscriptions.tables import Subscription

    known = id_of(text)
    row = await read.session.get(Subscription, known) or await subscription_of(read, known)
    if row is None:
        raise NotFound(f"There is no subscription {known}, and none of a license with this id.")
    return row.id
