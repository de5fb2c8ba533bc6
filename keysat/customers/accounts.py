"""Who a buyer is: one row for each address, made the first time it is given."""

import re
import unicodedata
from collections.abc import Iterable
from uuid import UUID

import msgspec
from sqlalchemy import select

from keysat.customers.tables import Customer, CustomerId
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest

EMAIL_MAX = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""
NAME_MAX = 200
NOTE_MAX = 2000

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class CustomerView(msgspec.Struct, frozen=True):
    id: CustomerId
    email: str | None
    name: str | None
    note: str | None


def normal_email(typed: str) -> str:
    """What addresses are compared by: trimmed, NFC, lower case, the domain in its ASCII form (IDNA).

    Loose on purpose, since only a mail that arrives proves an address. Raises BadRequest that says what to fix.
    """
    email = unicodedata.normalize("NFC", typed.strip()).lower()
    if any(character.isspace() or unicodedata.category(character).startswith("C") for character in email):
        raise BadRequest("The e-mail address has a space or a control character in it. Remove it.")
    local, at, domain = email.partition("@")
    if not (local and at and domain) or "@" in domain:
        raise BadRequest("The e-mail address needs exactly one @ with something on both sides.")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError:
        raise BadRequest("What follows the @ in the e-mail address is not a domain. Check it.") from None
    email = f"{local}@{domain}"
    if len(email) > EMAIL_MAX or len(typed.strip()) > EMAIL_MAX:
        raise BadRequest(f"The e-mail address is longer than {EMAIL_MAX} characters.")
    return email


async def remember(
    work: Work, email: str | None, note: str | None = None, name: str | None = None
) -> CustomerId | None:
    """The customer with this address, new or known; None for an anonymous buyer without any of the three.

    Blank counts as absent. A note or name that is given replaces the one before. A buyer with a note but without an
    address is a customer of its own each time. Raises BadRequest.
    """
    email, note, name = (_text(given) for given in (email, note, name))
    _check(note, name)
    if email is None and note is None and name is None:
        return None
    normal = normal_email(email) if email is not None else None
    news = {field: value for field, value in (("note", note), ("name", name)) if value is not None}
    write = work.insert(Customer).values(
        id=work.new_id(), email=email, email_normal=normal, note=note, name=name, created_at=work.now
    )
    # Two purchases of one new buyer may run at once: whoever comes second finds the row of the first. The update
    # changes nothing when there are no news; without it the database would not tell the id.
    write = write.on_conflict_do_update(
        index_elements=["email_normal"], set_={"email_normal": write.excluded.email_normal, **news}
    )
    return (await work.session.scalars(write.returning(Customer.id))).one()


async def find(read: Read, email: str) -> CustomerView | None:
    """None when nobody has this address, or it is none."""
    try:
        normal = normal_email(email)
    except BadRequest:
        return None
    row = await read.session.scalar(select(Customer).where(Customer.email_normal == normal))
    return msgspec.convert(row, CustomerView, from_attributes=True) if row is not None else None


async def customer(read: Read, customer_id: UUID) -> CustomerView:
    """Raises NotFound."""
    return msgspec.convert(await read.get(Customer, customer_id), CustomerView, from_attributes=True)


async def emails(read: Read, customer_ids: Iterable[UUID | None]) -> dict[UUID | None, str]:
    """Of a page's customers, where they gave one."""
    wanted = {customer_id for customer_id in customer_ids if customer_id is not None}
    rows = await read.session.execute(select(Customer.id, Customer.email).where(Customer.id.in_(wanted)))
    return {customer_id: email for customer_id, email in rows if email is not None}


def _text(given: str | None) -> str | None:
    return (given.strip() or None) if given is not None else None


def _check(note: str | None, name: str | None) -> None:
    for field, value, most in (("note", note, NOTE_MAX), ("name", name, NAME_MAX)):
        if value is not None and len(value) > most:
            raise BadRequest(f"The {field} is longer than {most} characters. Shorten it.")
        if value is not None and _CONTROL.search(value):
            raise BadRequest(f"The {field} has control characters in it. Remove them.")
