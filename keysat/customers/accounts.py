"""Who a buyer is: one row for each address, made the first time it is given."""

import re
import unicodedata
from collections.abc import Iterable
from uuid import UUID

import msgspec
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from msgspec import UNSET, UnsetType
from sqlalchemy import delete, func, select, update

from keysat.customers.happenings import CustomerEdited
from keysat.customers.tables import Customer, CustomerId, CustomerNote
from keysat.infra.work import Read, Work, flushed
from keysat.kit.errors import BadRequest, Conflict

EMAIL_MAX = 254
"""RFC 5321, 4.5.3.1.3, less the angle brackets."""
NAME_MAX = 200
NOTE_MAX = 2000

SPECIAL_USE_DOMAIN_NAMES.clear()
"""Networks at home and on Tor deliver to `.local`, `.home.arpa` and `.onion`; `email_validator` would refuse them."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class CustomerView(msgspec.Struct, frozen=True):
    id: CustomerId
    email: str | None
    name: str | None
    note: str | None


def normal_email(typed: str) -> str:
    """What addresses are compared by: trimmed, lower case, look-alike forms of letters folded, the domain in ASCII.

    What can be an address is said by RFC 5321 and 6531, IDNA 2008 and UTS 46; only a mail that arrives proves one.
    Raises BadRequest that says what to fix.
    """
    folded = unicodedata.normalize("NFKC", typed.strip()).lower()
    try:
        found = validate_email(folded, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise BadRequest(str(error).replace("email", "e-mail")) from None
    if "." not in found.ascii_domain:
        raise BadRequest("What follows the @-sign in the e-mail address needs a dot, as in example.org.")
    email = f"{found.local_part}@{found.ascii_domain}"
    if len(email) > EMAIL_MAX or len(typed.strip()) > EMAIL_MAX:
        raise BadRequest(f"The e-mail address is longer than {EMAIL_MAX} characters.")
    return email


def mailbox(normal: str) -> str:
    """Whose address it is, as near as can be told: without the `+tag` that everybody can add to theirs."""
    local, _, domain = normal.rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


async def remember(
    work: Work, email: str | None, note: str | None = None, name: str | None = None
) -> CustomerId | None:
    """The customer with this address, new or known; None for an anonymous buyer without any of the three.

    Blank counts as absent. Anybody may type any address, so a note or name fills in what is missing and no more (see
    `keep_note`; the operator's words go by `edit`). A buyer with a note but without an address is a customer of its own
    each time. Raises BadRequest.
    """
    email, note, name = (_text(given) for given in (email, note, name))
    _check(note, name)
    if email is None and note is None and name is None:
        return None
    normal = normal_email(email) if email is not None else None
    write = work.insert(Customer).values(
        id=work.new_id(), email=email, email_normal=normal, note=note, name=name, created_at=work.now
    )
    old, new = Customer, write.excluded
    said = {"note": func.coalesce(old.note, new.note), "name": func.coalesce(old.name, new.name)}
    # Two purchases of one new buyer may run at once: whoever comes second finds the row of the first. Without an
    # update that always happens the database would not tell the id.
    write = write.on_conflict_do_update(index_elements=["email_normal"], set_=said)
    return (await work.session.scalars(write.returning(Customer.id))).one()


class CustomerEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An absent field stays, null clears."""

    email: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    note: str | UnsetType | None = UNSET


async def edit(work: Work, customer_id: UUID, values: CustomerEdit) -> None:
    """By the operator. Raises NotFound, BadRequest; Conflict when another has the address, or this one was erased."""
    row = await work.hold(Customer, customer_id)
    if row.erased_at is not None:
        raise Conflict("This customer was erased: nothing is kept of him any more.")
    given = {
        field: value if value is None else _text(value)
        for field, value in msgspec.structs.asdict(values).items()
        if value is not UNSET
    }
    _check(given.get("note"), given.get("name"))
    email = given.get("email")
    normal = normal_email(email) if email is not None else None
    if normal is not None:
        other = await work.session.scalar(
            select(Customer.id).where(Customer.email_normal == normal, Customer.id != customer_id)
        )
        if other is not None:
            raise Conflict(
                f"Customer {other} has this address. Two are not made one: give each license of this one to that "
                "address instead (buyer_email of the license)."
            )
    for field, value in given.items():
        setattr(row, field, value)
    if "email" in given:
        row.email_normal = normal
    async with flushed(work, "Another customer has got this address a moment ago."):
        work.record(CustomerEdited(customer_id, sorted(given)))


async def keep_note(work: Work, order_id: UUID, customer_id: UUID, note: str) -> None:
    """What was written with an order, where the customer has another note: `adopt_note` follows once it is paid."""
    known = await work.session.scalar(select(Customer.note).where(Customer.id == customer_id))
    if note.strip() and note.strip() != known:
        work.session.add(CustomerNote(order_id=order_id, customer_id=CustomerId(customer_id), note=note.strip()))


async def adopt_note(work: Work, order_id: UUID, customer_id: UUID) -> None:
    """The order was paid for: the note that was kept with it is the customer's now."""
    kept = await work.session.scalar(
        delete(CustomerNote).where(CustomerNote.order_id == order_id).returning(CustomerNote.note)
    )
    if kept is not None:
        await work.session.execute(
            update(Customer).where(Customer.id == customer_id, Customer.erased_at.is_(None)).values(note=kept)
        )


async def note_kept(read: Read, order_id: UUID) -> str | None:
    """What was written with an order that nobody has paid for."""
    return await read.session.scalar(select(CustomerNote.note).where(CustomerNote.order_id == order_id))


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
