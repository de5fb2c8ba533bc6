"""Getting a lost key back, and replacing one that leaked: what the buyer must know to be believed.

Three ways: the order's secret id and the e-mail; the support reference and the e-mail, which mails a link; the claim
code with either, for those who gave no e-mail. Whatever does not fit is refused with one text, so that nobody learns
which part was right.

The claim code is not stored, not even as a hash: it is derived from the vault key and the order's id each time it is
shown or compared. So it exists for every order, also for those sold before there were claim codes, and a stolen
database holds nothing to try guesses on. Without the vault key no license could be signed either.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from sqlalchemy import select

from keysat.checkout.happenings import LicenseRecovered, RecoveryLinkMade
from keysat.checkout.tables import Order, OrderStatus
from keysat.customers.accounts import find
from keysat.infra import links
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, NotFound
from keysat.licenses.issue import key_text, replace_key
from keysat.licenses.ring import Ring
from keysat.licenses.tables import License, LicenseStatus

CODE_SHOWN_FOR = timedelta(hours=24)
DERIVED_AS = "claim-code"
LINK = "recovery"
SUPPORT = "KS-"
MISMATCH = (
    "Nothing fits these details. Check each of them. If the license was suspended or revoked, only the seller can help."
)
_MISREAD = str.maketrans({"0": "O", "1": "I", "8": "B"})  # digits that base32 does without


@dataclass(frozen=True, slots=True)
class Ask:
    """`reference`: the order's secret id, its support reference, or the address of its page."""

    reference: str
    email: str = ""
    claim_code: str = ""

    @property
    def order(self) -> str:
        """The reference as the order has it: `KS-7QZ3M5ALDY`, or the secret id."""
        text = self.reference.strip()
        if "invoice_id=" in text:
            text = parse_qs(text.partition("?")[2]).get("invoice_id", [text])[0].strip()
        return text.upper() if text.upper().startswith(SUPPORT) else text.lower()

    @property
    def is_by_support_reference(self) -> bool:
        return self.order.startswith(SUPPORT)


@dataclass(frozen=True, slots=True)
class Opened:
    """What the buyer has proven to be theirs."""

    order: Order
    license: License


# Contract 3.13
class Recovered(msgspec.Struct, frozen=True):
    """The key, signed as its license stands now, and what it says."""

    license_key: str
    license_id: UUID
    product_id: UUID
    issued_at: datetime
    expires_at: datetime | None
    entitlements: list[str]


async def recover(work: Work, vault: Vault, ask: Ask) -> Opened | None:
    """None: a link is mailed, if the two belong together; whether they do is not told.

    Raises BadRequest when something is left out, NotFound with one text for all that does not fit.
    """
    if not ask.order or not (ask.email.strip() or ask.claim_code.strip()):
        raise BadRequest("Give the order and, with it, the e-mail address or the claim code.")
    if ask.claim_code.strip():
        opened = await _active(work, await _order(work, ask))
        if not is_claim_code(vault, opened.order.id, ask.claim_code):
            raise NotFound(MISMATCH)
        return _recovered(work, opened, "claim_code")
    if not ask.is_by_support_reference:
        return _recovered(work, await _of_buyer(work, ask), "email")
    try:
        opened = await _of_buyer(work, ask)
    except NotFound:
        return None
    await links.close(work, LINK, opened.order.id)
    link_id = await links.make(work, vault, LINK, opened.order.id)
    work.record(RecoveryLinkMade(link_id, opened.order.id))
    return None


async def fits_order(read: Read, vault: Vault, ask: Ask) -> bool:
    """Whether the claim code is that of the order."""
    order = await _order(read, ask) if ask.claim_code.strip() else None
    return order is not None and is_claim_code(vault, order.id, ask.claim_code)


async def fits_license(read: Read, vault: Vault, license_id: UUID, claim_code: str) -> bool:
    """Whether the claim code is that of the order that made the license."""
    license = await read.session.get(License, license_id)
    return license is not None and license.order_id is not None and is_claim_code(vault, license.order_id, claim_code)


async def recover_with_link(work: Work, token: str) -> Opened:
    """Uses the link up. Raises NotFound."""
    order_id = await links.use(work, LINK, token)
    return _recovered(work, await _active(work, await work.session.get(Order, UUID(order_id))), "link")


async def replace_leaked_key(work: Work, vault: Vault, license_id: UUID, claim_code: str) -> Opened:
    """By the buyer, who shows a key of the license and the claim code. Raises NotFound."""
    license = await work.session.get(License, license_id)
    order = await work.session.get(Order, license.order_id) if license is not None and license.order_id else None
    opened = await _active(work, order)
    if not is_claim_code(vault, opened.order.id, claim_code):
        raise NotFound(MISMATCH)
    return Opened(opened.order, await replace_key(work, license_id))


async def shown(read: Read, ring: Ring, license: License) -> Recovered:
    """The key as it is signed now."""
    return Recovered(
        license_key=await key_text(read, license, ring),
        license_id=license.id,
        product_id=license.product_id,
        issued_at=license.issued_at,
        expires_at=license.expires_at,
        entitlements=list(license.entitlements),
    )


def claim_code(vault: Vault, order_id: UUID) -> str:
    """130 bits as `XXXXX-XXXXX-XXXXX-XXXXX-XXXXXX`."""
    text = links.derived_text(vault, DERIVED_AS, order_id)
    return "-".join((text[:5], text[5:10], text[10:15], text[15:20], text[20:]))


def claim_code_to_show(vault: Vault, order: Order, now: datetime) -> str | None:
    """For a day after the key was made; later a page that somebody else opens must not give the order away."""
    is_new = order.status == OrderStatus.FULFILLED and now < order.status_at + CODE_SHOWN_FOR
    return claim_code(vault, order.id) if is_new else None


def is_claim_code(vault: Vault, order_id: UUID, typed: str) -> bool:
    """However it was typed: in any case, with or without hyphens, with 0, 1 or 8 for O, I or B."""
    return compare_digest(_bare(typed).encode(), _bare(claim_code(vault, order_id)).encode())


def _bare(code: str) -> str:
    return "".join(letter for letter in code.upper() if letter.isalnum()).translate(_MISREAD)


async def _order(read: Read, ask: Ask) -> Order | None:
    column = Order.support_reference if ask.is_by_support_reference else Order.invoice_id
    return await read.session.scalar(select(Order).where(column == ask.order))


async def _of_buyer(read: Read, ask: Ask) -> Opened:
    """Raises NotFound."""
    opened = await _active(read, await _order(read, ask))
    customer = await find(read, ask.email)
    if customer is None or customer.id != opened.license.customer_id:  # whose it is now, whoever bought it
        raise NotFound(MISMATCH)
    return opened


async def _active(read: Read, order: Order | None) -> Opened:
    """Expired licenses too. Raises NotFound."""
    if order is not None and order.status == OrderStatus.FULFILLED and order.license_id is not None:
        license = await read.session.get(License, order.license_id)
        if license is not None and license.status == LicenseStatus.ACTIVE:
            return Opened(order, license)
    raise NotFound(MISMATCH)


def _recovered(work: Work, opened: Opened, how: str) -> Opened:
    work.record(LicenseRecovered(opened.license.id, opened.order.id, how))
    return opened
