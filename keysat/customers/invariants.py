"""What must always hold of customers. `upkeep.doctor` asks; nothing here repairs."""

from datetime import datetime

from sqlalchemy import exists, or_, select

from keysat.customers.accounts import normal_email
from keysat.customers.tables import Customer, CustomerNote
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest


async def broken(read: Read, _now: datetime) -> list[str]:
    """One sentence for each thing that does not hold; by id, never by address."""
    return [*await _erased(read), *await _addresses(read)]


async def _erased(read: Read) -> list[str]:
    rows = await read.session.scalars(
        select(Customer.id).where(
            Customer.erased_at.is_not(None),
            or_(
                Customer.email.is_not(None),
                Customer.email_normal.is_not(None),
                Customer.name.is_not(None),
                Customer.note.is_not(None),
                exists().where(CustomerNote.customer_id == Customer.id),
            ),
        )
    )
    return [f"Customer {customer_id} was erased but still has personal data." for customer_id in rows]


async def _addresses(read: Read) -> list[str]:
    rows = await read.session.execute(select(Customer.id, Customer.email, Customer.email_normal))
    return [
        f"Customer {customer_id} cannot be found by its address."
        for customer_id, email, normal in rows
        if normal != _normal(email)
    ]


def _normal(email: str | None) -> str | None:
    try:
        return normal_email(email) if email is not None else None
    except BadRequest:
        return None
