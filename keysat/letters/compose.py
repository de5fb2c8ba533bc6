"""What a letter says: facts of the order, put into the seller's words.

A letter is two templates, `<kind>.txt` and `<kind>.html`. The first line of the text is the subject. A seller who wants
other words puts files of these names into `letters/` in the data directory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined, select_autoescape

from keysat.catalog.read import policy, product
from keysat.checkout.recover import claim_code_to_show, shown
from keysat.checkout.tables import Order
from keysat.customers.tables import Customer
from keysat.infra.links import token_of
from keysat.infra.mail import Letter, Mailer
from keysat.infra.setting_values import Contact
from keysat.infra.store import Store
from keysat.infra.tables import OneTimeLink
from keysat.infra.vault import Vault
from keysat.infra.work import Read
from keysat.infra.written import date, date_and_time, money
from keysat.kit.money import Money
from keysat.letters.tables import LetterKind, LetterRow
from keysat.licenses.ring import Ring
from keysat.licenses.tables import License, LicenseStatus

FOLDER = "letters"


@dataclass(frozen=True, slots=True)
class PostRoom:
    """All that is needed to write and send letters. `words`: the folder of the seller's own texts, if there is one."""

    store: Store
    vault: Vault
    ring: Ring
    mailer: Mailer
    public_url: str
    shop_name: str
    contact: Contact | None
    is_sandbox: bool
    words: Path


@dataclass(frozen=True, slots=True)
class Addressee:
    """An order that was fulfilled, with its license and the address of its buyer."""

    order: Order
    license: License
    email: str


Content = tuple[Addressee, Mapping[str, object]]
"""To whom, and what the templates may name."""


async def compose(read: Read, room: PostRoom, row: LetterRow, now: datetime) -> Letter | None:
    """None: there is nothing to say any more, or nobody to say it to. Raises jinja2.TemplateError."""
    match row.kind:
        case LetterKind.RECEIPT:
            content = await _receipt(read, room, row.subject, now)
        case LetterKind.RECOVERY:
            content = await _recovery(read, room, row.subject, now)
    if content is None:
        return None
    to, said = content
    subject, text, html = _written(room, row.kind, said)
    host = urlsplit(room.public_url).hostname or "localhost"
    return Letter(to=to.email, subject=subject, text=text, html=html, message_id=f"<{row.id}@{host}>")


async def _addressee(read: Read, order_id: UUID) -> Addressee | None:
    order = await read.session.get(Order, order_id)
    if order is None or order.license_id is None or order.customer_id is None:
        return None
    license = await read.session.get(License, order.license_id)
    customer = await read.session.get(Customer, order.customer_id)
    if license is None or license.status != LicenseStatus.ACTIVE or customer is None:
        return None
    typed, normal = customer.email, customer.email_normal
    if typed is None or normal is None:
        return None
    return Addressee(order, license, typed if typed.isascii() else normal)  # whose domain is written for mail servers


async def _receipt(read: Read, room: PostRoom, order_id: UUID, now: datetime) -> Content | None:
    to = await _addressee(read, order_id)
    if to is None:
        return None
    order = to.order
    return to, {
        **await _what(read, order),
        "price": Money(order.listed_currency, order.listed_value) if order.listed_value else None,
        "license_key": (await shown(read, room.ring, to.license)).license_key,
        "expires_at": to.license.expires_at,
        "claim_code": claim_code_to_show(room.vault, order, now),
        "order_page": f"{room.public_url}/thank-you?invoice_id={order.invoice_id}",
        "recover_page": f"{room.public_url}/recover",
    }


async def _recovery(read: Read, room: PostRoom, link_id: UUID, now: datetime) -> Content | None:
    link = await read.session.get(OneTimeLink, link_id)
    if link is None or link.used_at is not None or link.expires_at <= now:
        return None
    to = await _addressee(read, UUID(link.subject))
    if to is None:
        return None
    return to, {
        **await _what(read, to.order),
        "link": f"{room.public_url}/recover/{token_of(room.vault, link.id)}",
        "until": link.expires_at,
    }


async def _what(read: Read, order: Order) -> Mapping[str, object]:
    sold = await product(read, order.product_id)
    tier = await policy(read, order.policy_id) if order.policy_id else None
    return {
        "product": sold.name,
        "what": f"{sold.name} {tier.name}" if tier else sold.name,
        "support_reference": order.support_reference,
    }


def _written(room: PostRoom, kind: LetterKind, said: Mapping[str, object]) -> tuple[str, str, str]:
    words = _environment(room.words)
    facts = {"shop_name": room.shop_name, "contact": room.contact, "sandbox": room.is_sandbox, **said}
    subject, _, text = words.get_template(f"{kind}.txt").render(facts).partition("\n")
    return subject.strip(), text.strip() + "\n", words.get_template(f"{kind}.html").render(facts)


@lru_cache(maxsize=4)
def _environment(words: Path) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(words), PackageLoader("keysat.letters", "texts")]),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(money=money, date=date, date_and_time=date_and_time)
    return environment
