"""Licenses: issue, give-many, edit, show, list, revoke, suspend, unsuspend, replace-key, change-tier, cancel it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import MOMENT, as_json, data_dir, paged
from keysat.cli.output import show_list, show_one


@click.group("license")
def license_group() -> None:
    """The licenses that were sold and given. ID is a license's id, or its key."""


@license_group.command()
@data_dir
@as_json
@argument("product")
@argument("tier", required=False)
@option("--email", help="Of the one who gets it.")
@option("--note", help="For yourself.")
def issue(
    data_dir: Path | None, as_json: bool, product: str, tier: str | None, email: str | None, note: str | None
) -> None:
    """Give a license away: `keysat license issue aurora pro --email alice@example.org`."""
    from keysat.checkout.operate import gift, give
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.work(CLI) as work:
            order = await give(work, await gift(work, product, tier, email, note))
        return await _shown(shop, str(order.license_id))

    show_one(inside(data_dir, act), as_json=as_json)


@license_group.command("give-many")
@data_dir
@as_json
@argument("product")
@argument("tier", required=False)
@option("--emails", type=click.File(), required=True, help="A file with an address a line; - reads the input.")
@option("--note", help="For yourself.")
def give_many(
    data_dir: Path | None, as_json: bool, product: str, tier: str | None, emails: TextIO, note: str | None
) -> None:
    """Give a license to each address of a file, or to none if one of them is wrong."""
    from keysat.checkout import operate
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> list[dict[str, object]]:
        named = [line.strip() for line in emails if line.strip()]
        async with shop.work(CLI) as work:
            orders = await operate.give_many(work, await operate.gift(work, product, tier, None, note), named)
        shown = [await _shown(shop, str(order.license_id)) for order in orders]
        return [{"email": email, "id": one["id"], "key": one["key"]} for email, one in zip(named, shown, strict=True)]

    rows = inside(data_dir, act)
    show_list(rows, as_json=as_json, nothing="The file names nobody.")


@license_group.command()
@data_dir
@as_json
@argument("license_id", metavar="ID")
@option("--email", help="Hand it over to this address.")
@option("--note", help="For yourself; an empty one takes it away.")
@option("--expires-at", type=MOMENT, help="In UTC.")
@option("--machines", type=click.IntRange(0), help="How many have a seat; 0 is unlimited.")
@option("--back", multiple=True, type=click.Choice(["expires_at", "max_machines"]), help="Give it back to the tier.")
@option("--reason", default="by the operator", show_default=True)
def edit(
    data_dir: Path | None,
    as_json: bool,
    license_id: str,
    email: str | None,
    note: str | None,
    expires_at: datetime | None,
    machines: int | None,
    back: Sequence[str],
    reason: str,
) -> None:
    """This license's own values, whatever its tier says: `keysat license edit ID --machines 5`."""
    from msgspec import UNSET

    from keysat.checkout.hand_over import hand_over
    from keysat.cli.opened import CLI, inside
    from keysat.licenses.change import OwnValues, set_note, set_own
    from keysat.licenses.tables import OwnField
    from keysat.upkeep.shop import Shop

    own = OwnValues(
        expires_at=expires_at if expires_at is not None else UNSET,
        max_machines=machines if machines is not None else UNSET,
    )

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.work(CLI) as work:
            await set_own(work, id_of(license_id), own, reason, cleared=[OwnField(field) for field in back])
            if email is not None:
                await hand_over(work, id_of(license_id), email)
            if note is not None:
                await set_note(work, id_of(license_id), note)
        return await _shown(shop, license_id)

    show_one(inside(data_dir, act), as_json=as_json)


@license_group.command()
@data_dir
@as_json
@argument("license_id", metavar="ID")
def show(data_dir: Path | None, as_json: bool, license_id: str) -> None:
    """One license, with its key."""
    from keysat.cli.opened import inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        return await _shown(shop, license_id)

    show_one(inside(data_dir, act, seals=False), as_json=as_json)


@license_group.command("list")
@data_dir
@as_json
@paged
@option("--status", type=click.Choice(["active", "suspended", "revoked"]))
@option("--product", help="Only of the product with this slug.")
def list_licenses(
    data_dir: Path | None, as_json: bool, limit: int, cursor: str | None, status: str | None, product: str | None
) -> None:
    """The latest sale first."""
    from keysat.catalog.read import product_by_slug
    from keysat.cli.opened import inside
    from keysat.kit.paging import Page
    from keysat.licenses import read as licenses
    from keysat.licenses.tables import License, LicenseStatus
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Page[License]:
        async with shop.read() as read:
            of = (await product_by_slug(read, product)).id if product else None
            wanted = licenses.LicenseFilter(status=LicenseStatus(status) if status else None, product_id=of)
            return await licenses.list_licenses(read, wanted, limit, cursor)

    page = inside(data_dir, act, seals=False)
    rows = [
        {
            "id": row.id,
            "status": row.status,
            "issued_at": row.issued_at,
            "expires_at": row.expires_at,
            "seats": f"{row.seats_taken}/{row.max_machines or 'unlimited'}",
            "entitlements": row.entitlements,
        }
        for row in page.items
    ]
    show_list(rows, as_json=as_json, nothing="There are no such licenses.", next_cursor=page.next_cursor)


@license_group.command()
@data_dir
@argument("license_id", metavar="ID")
@option("--reason", default="by the operator", show_default=True)
@option("--yes", is_flag=True, help="Do not ask.")
def revoke(data_dir: Path | None, license_id: str, reason: str, yes: bool) -> None:
    """End a license for ever, and its subscription with it."""
    if not yes:
        click.confirm("A revoked license never comes back. Revoke it", abort=True)
    _step(data_dir, license_id, "revoke", reason)


@license_group.command()
@data_dir
@argument("license_id", metavar="ID")
@option("--reason", default="by the operator", show_default=True)
def suspend(data_dir: Path | None, license_id: str, reason: str) -> None:
    """Let a license rest until it is unsuspended."""
    _step(data_dir, license_id, "suspend", reason)


@license_group.command()
@data_dir
@argument("license_id", metavar="ID")
def unsuspend(data_dir: Path | None, license_id: str) -> None:
    """Let a suspended license count again."""
    _step(data_dir, license_id, "unsuspend", None)


@license_group.command("replace-key")
@data_dir
@as_json
@argument("license_id", metavar="ID")
@option("--yes", is_flag=True, help="Do not ask.")
def replace_key(data_dir: Path | None, as_json: bool, license_id: str, yes: bool) -> None:
    """A new key for one that leaked; the older ones stop working."""
    from keysat.cli.opened import CLI, inside
    from keysat.licenses import issue as verbs
    from keysat.upkeep.shop import Shop

    if not yes:
        click.confirm("All keys of this license that are in use stop working. Replace them", abort=True)

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.work(CLI) as work:
            await verbs.replace_key(work, id_of(license_id))
        return await _shown(shop, license_id)

    show_one(inside(data_dir, act), as_json=as_json)


@license_group.command("change-tier")
@data_dir
@as_json
@argument("license_id", metavar="ID")
@argument("tier")
@option("--offer", help="Another price and period of the tier.")
@option(
    "--when",
    type=click.Choice(["at_once", "at_renewal", "by_invoice"]),
    default="at_once",
    show_default=True,
    help="Given, from the next renewal on, or as soon as the difference is paid.",
)
@option("--reason", help="For yourself.")
def change_tier(
    data_dir: Path | None,
    as_json: bool,
    license_id: str,
    tier: str,
    offer: str | None,
    when: str,
    reason: str | None,
) -> None:
    """To another tier of its product: `keysat license change-tier ID pro --when by_invoice`."""
    from msgspec.structs import asdict

    from keysat.checkout.change.operator import When, by_operator
    from keysat.checkout.change.quote import Wanted
    from keysat.checkout.change.read import read_change
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        wanted = Wanted(tier, offer)
        change_id = await by_operator(shop.desk(shop.now(), CLI), id_of(license_id), wanted, When(when), reason)
        async with shop.read() as read:
            return asdict(await read_change(read, change_id))

    show_one(inside(data_dir, act), as_json=as_json)


@license_group.command("cancel-tier-change")
@data_dir
@as_json
@argument("license_id", metavar="ID")
def cancel_tier_change(data_dir: Path | None, as_json: bool, license_id: str) -> None:
    """One that is planned for the renewal: the license keeps its tier."""
    from msgspec.structs import asdict

    from keysat.checkout.change.plan import unplan
    from keysat.checkout.change.read import read_change
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.work(CLI) as work:
            return asdict(await read_change(work, (await unplan(work, id_of(license_id))).id))

    show_one(inside(data_dir, act), as_json=as_json)


def _step(data_dir: Path | None, text: str, step: str, reason: str | None) -> None:
    from keysat.checkout import subscribed
    from keysat.cli.opened import CLI, inside
    from keysat.licenses import issue as verbs
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> str:
        license_id = id_of(text)
        async with shop.work(CLI) as work:
            match step:
                case "revoke":
                    row = await subscribed.revoke(work, license_id, reason or "")
                case "suspend":
                    row = await verbs.suspend(work, license_id, reason or "")
                case _:
                    row = await verbs.unsuspend(work, license_id)
            return f"License {row.id} is {row.status}."

    click.echo(inside(data_dir, act))


async def _shown(shop: object, text: str) -> dict[str, object]:
    from keysat.licenses.issue import key_text
    from keysat.licenses.tables import License
    from keysat.upkeep.shop import Shop

    assert isinstance(shop, Shop)  # noqa: S101  the type cannot be imported above
    async with shop.read() as read:
        row = await read.get(License, id_of(text))
        key = await key_text(read, row, shop.ring)
    return {
        "id": row.id,
        "status": row.status,
        "product_id": row.product_id,
        "policy_id": row.policy_id,
        "order_id": row.order_id,
        "issued_at": row.issued_at,
        "expires_at": row.expires_at,
        "seats": f"{row.seats_taken}/{row.max_machines or 'unlimited'}",
        "entitlements": row.entitlements,
        "trial": row.is_trial,
        "reason": row.revocation_reason or row.suspension_reason,
        "key": key,
    }


def id_of(text: str) -> UUID:
    from keysat.kit.errors import BadRequest
    from keysat.kit.licensekey import BadFormat, parse

    try:
        return parse(text).payload.license_id if text.strip().startswith("LIC1-") else UUID(text)
    except (BadFormat, ValueError):
        raise BadRequest("This is neither an id nor a license key.") from None
