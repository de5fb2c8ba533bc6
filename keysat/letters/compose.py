"""What a letter says: facts of order, license and subscription, put into the seller's words.

A letter is two templates, `<kind>.txt` and `<kind>.html`. The first line of the text is the subject. What all have
around them is in `frame`, what several say in `parts`. A seller who wants other words puts files of these names, whole
or in the same frame, into `letters/` in the data directory.
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
from keysat.checkout.pay_link import pay_token
from keysat.checkout.recover import claim_code_to_show
from keysat.checkout.seller import told_of as seller_of
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
from keysat.letters.reminders import told_of
from keysat.letters.tables import LetterKind, LetterRow
from keysat.licenses.issue import key_text
from keysat.licenses.ring import Ring
from keysat.licenses.standing import grace_end
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.tables import Subscription

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


Content = tuple[str, Mapping[str, object]]
"""To which address, and what the templates may name."""


async def compose(read: Read, room: PostRoom, row: LetterRow, now: datetime) -> Letter | None:
    """None: there is nothing to say any more, or nobody to say it to. Raises jinja2.TemplateError."""
    match row.kind:
        case LetterKind.RECEIPT:
            content = await _receipt(read, room, row.subject, now)
        case LetterKind.RECOVERY:
            content = await _recovery(read, room, row.subject, now)
        case LetterKind.TIER_CHANGED:
            content = await _tier_changed(read, room, row.subject)
        case _:
            content = await _subscribed(read, room, row, now)
    if content is None:
        return None
    to, said = content
    subject, text, html = _written(room, row.kind, said)
    host = urlsplit(room.public_url).hostname or "localhost"
    return Letter(to=to, subject=subject, text=text, html=html, message_id=f"<{row.id}@{host}>")


async def _receipt(read: Read, room: PostRoom, order_id: UUID, now: datetime) -> Content | None:
    order = await read.session.get(Order, order_id)
    if order is None or (found := await _holder(read, order.license_id, order.customer_id)) is None:
        return None
    license, email = found
    return email, {
        **await _what(read, order.product_id, order.policy_id),
        **await _key(read, room, license),
        "support_reference": order.support_reference,
        "price": Money(order.listed_currency, order.listed_value) if order.listed_value else None,
        "claim_code": claim_code_to_show(room.vault, order, now),
        "order_page": f"{room.public_url}{order.page}",
        "recover_page": f"{room.public_url}/recover",
    }


async def _recovery(read: Read, room: PostRoom, link_id: UUID, now: datetime) -> Content | None:
    link = await read.session.get(OneTimeLink, link_id)
    if link is None or link.used_at is not None or link.expires_at <= now:
        return None
    order = await read.session.get(Order, UUID(link.subject))
    license = await read.session.get(License, order.license_id) if order and order.license_id else None
    if not order or not license or (found := await _holder(read, license.id, license.customer_id)) is None:
        return None
    return found[1], {
        **await _what(read, order.product_id, order.policy_id),
        "support_reference": order.support_reference,
        "link": f"{room.public_url}/recover/{token_of(room.vault, link.id)}",
        "until": link.expires_at,
    }


async def _tier_changed(read: Read, room: PostRoom, license_id: UUID) -> Content | None:
    license = await read.session.get(License, license_id)
    if license is None or (found := await _holder(read, license.id, license.customer_id)) is None:
        return None
    return found[1], {
        **await _what(read, license.product_id, license.policy_id),
        **await _key(read, room, license),
        "license_page": f"{room.public_url}/license",
    }


async def _subscribed(read: Read, room: PostRoom, row: LetterRow, now: datetime) -> Content | None:
    """What is not so any more when the letter is due is not told: who has paid meanwhile is reminded of nothing."""
    subscription = await read.session.get(Subscription, row.subject)
    if subscription is None:
        return None
    found = await _holder(read, subscription.license_id, subscription.customer_id)
    told = await told_of(read, subscription, row, now) if found is not None else None
    if found is None or told is None:
        return None
    license, email = found
    return email, {
        **await _what(read, license.product_id, subscription.policy_id),
        **(await _key(read, room, license) if row.kind is LetterKind.RENEWED else {}),
        **told,
        "is_trial": subscription.cycle_number == 0,
        "paid_through": subscription.paid_through,
        "works_until": grace_end(license) or subscription.paid_through,
        "is_over": (grace_end(license) or subscription.paid_through) <= now,
        "pay_page": f"{room.public_url}/pay/{pay_token(room.vault, subscription.id)}",
        "license_page": f"{room.public_url}/license",
    }


async def _holder(read: Read, license_id: UUID | None, customer_id: UUID | None) -> tuple[License, str] | None:
    """A license that counts, and the address of its buyer."""
    license = await read.session.get(License, license_id) if license_id is not None else None
    customer = await read.session.get(Customer, customer_id) if customer_id is not None else None
    if license is None or license.status != LicenseStatus.ACTIVE or customer is None:
        return None
    typed, normal = customer.email, customer.email_normal
    if typed is None or normal is None:
        return None
    return license, typed if typed.isascii() else normal  # whose domain is written for mail servers


async def _what(read: Read, product_id: UUID, policy_id: UUID | None) -> Mapping[str, object]:
    sold = await product(read, product_id)
    tier = await policy(read, policy_id) if policy_id else None
    what = f"{sold.name} {tier.name}" if tier else sold.name
    return {"product": sold.name, "what": what, **await seller_of(read, sold.merchant_profile_id)}


async def _key(read: Read, room: PostRoom, license: License) -> Mapping[str, object]:
    return {"license_key": await key_text(read, license, room.ring), "expires_at": license.expires_at}


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
