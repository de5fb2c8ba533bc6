"""Who bought: told apart by the address as it is compared. Of who was erased here nothing comes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from keysat.checkout.tables import Order
from keysat.customers.accounts import normal_email
from keysat.customers.tables import Customer
from keysat.kit.errors import BadRequest
from keysat.licenses.tables import License
from keysat.upkeep.imports.fields import Values
from keysat.upkeep.imports.move import Move
from keysat.upkeep.person import erased_hash


@dataclass(frozen=True, slots=True)
class Buyers:
    """By address: how it was typed first, and who has it here, or had it before he was erased."""

    typed: dict[str, str]
    owners: dict[str, UUID]


async def look_at_buyers(move: Move, orders: Sequence[Values], licenses: Sequence[Values]) -> Buyers:
    """Each `buyer` becomes the address as it is compared, or None. What is of somebody erased is marked in `move`."""
    typed, sales = _normal(move, [*licenses, *orders]), [*orders, *licenses]
    told = select(Customer.id, Customer.email_normal, Customer.erased_hash)
    rows = (await move.work.session.execute(told)).all()
    owners = {row.email_normal: row.id for row in rows if row.email_normal is not None}
    hashes = {row.erased_hash: row.id for row in rows if row.erased_hash is not None}
    if not hashes:
        return Buyers(typed, owners)
    # An erased address is told by its hash; or by what it had brought before, since it may have been another here.
    found = {address: hashes.get(erased_hash(move.vault, address)) for address in typed}
    found |= {row["buyer"]: move.erased[row["id"]] for row in sales if row["id"] in move.erased}
    erased = {address: owner for address, owner in found.items() if owner and address and address not in owners}
    for row in sales:
        order_id: UUID = row.get("order_id", row["id"])
        owner = erased.get(row["buyer"]) if row["buyer"] else move.erased.get(order_id)
        if owner is not None:
            move.erased[row["id"]] = owner
            row["note"] = None
    move.report.not_kept(len(erased), "addresses of buyers who were erased here")
    return Buyers(typed, erased | owners)


def _normal(move: Move, sales: Sequence[Values]) -> dict[str, str]:
    normal: dict[str, str | None] = {"": None}
    typed: dict[str, str] = {}
    for row in sales:
        email: str = row["buyer"] or ""
        if email not in normal:
            try:
                normal[email] = normal_email(email)
            except BadRequest:
                normal[email] = None
                move.report.note("An address of a buyer is none that a mail could be sent to: it is not kept.")
        row["buyer"] = buyer = normal[email]
        if buyer is not None:
            typed.setdefault(buyer, email.strip())
    return typed


async def bring_buyers(move: Move, buyers: Buyers, sales: Sequence[Values]) -> None:
    """Each of the sales gets its `customer_id`. Of what is here already nobody comes again: he may have another
    address by now."""
    ids = [await move.work.session.scalars(select(model.id)) for model in (Order, License)]
    known = {row_id for of_model in ids for row_id in of_model}
    wanted = dict.fromkeys(row["buyer"] for row in sales if row["buyer"] and row["id"] not in known)
    new = [
        {"id": move.work.new_id(), "email": buyers.typed[normal], "email_normal": normal, "created_at": move.work.now}
        for normal in wanted
        if normal not in buyers.owners
    ]
    written = await move.write("customers", Customer, new)
    owners = buyers.owners | {row["email_normal"]: row["id"] for row in written.new}
    for row in sales:
        row["customer_id"] = owners.get(row["buyer"])
