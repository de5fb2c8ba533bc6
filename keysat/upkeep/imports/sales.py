"""Who bought, what was ordered, and the licenses that came of it. Each license keeps its id, so that its key holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import select

from keysat.catalog.checks import SECONDS_MAX
from keysat.catalog.policy_values import MACHINES_MAX
from keysat.checkout.tables import Order, OrderStatus, PaidHow, Purpose
from keysat.customers.accounts import normal_email
from keysat.customers.tables import Customer, CustomerNote
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.ids import support_reference
from keysat.kit.licensekey import ENTITLEMENT_BYTES_MAX, ENTITLEMENTS_MAX
from keysat.kit.money import MAX_MINOR, MAX_SATS
from keysat.licenses.tables import License, LicenseStatus
from keysat.upkeep.imports.again import call_for, licenses_again, orders_again
from keysat.upkeep.imports.machines import bring_machines
from keysat.upkeep.imports.move import Move, Values, Written
from keysat.upkeep.imports.source import Row, Senseless
from keysat.upkeep.imports.uses import bring_uses
from keysat.upkeep.person import erased_hash

NO_PRICE: Values = {"listed_currency": SAT, "listed_value": 0, "base_value": 0, "amount_sats": 0, "base_sats": 0}
NO_RATE: Values = {"exchange_rate_centibps": None, "exchange_rate_source": None}
WITHOUT_LICENSE = {
    "settled": OrderStatus.REVIEW,
    "expired": OrderStatus.EXPIRED,
    "invalid": OrderStatus.INVALID,
    "pending": OrderStatus.EXPIRED,
}


async def bring_sales(move: Move, issuer_key_id: UUID) -> Mapping[UUID, Values]:
    """Licenses are judged before orders are written: of an order whose license stays behind no other one may come.

    Returns licenses by id, with the values they have there, `buyer` among them; revoked also where only here.
    """
    made = [row | {"issuer_key_id": issuer_key_id} for row in move.read("licenses", "licenses", _license)]
    invoices = move.read("orders", "invoices", _order)
    typed = _normal_buyers(move, (*made, *invoices))
    erased = await _erased(move, typed, (*invoices, *made))
    move.here["orders"] = {order["id"] for order in invoices} | {row["order_id"] for row in made if not row["is_sold"]}
    licenses = move.fitting("licenses", License, made)
    orders = [*_ordered(move, invoices, licenses), *(_given(move, row) for row in licenses if not row["is_sold"])]
    customers = await _customers(move, typed, (*orders, *licenses), erased)
    for row in (*orders, *licenses):
        row["customer_id"] = customers.get(row["buyer"])
    ordered = await _orders(move, orders)
    terms = License.policy_id, License.max_machines, License.entitlements
    sold = await move.write("licenses", License, licenses, *terms)
    await orders_again(move, ordered, sold)
    await licenses_again(move, sold)
    await bring_machines(move, sold)
    await bring_uses(move)
    for there, here in sold.known:
        if here["status"] is LicenseStatus.REVOKED:
            there["status"] = LicenseStatus.REVOKED
    return {row["id"]: row for row in sold.all}


def _normal_buyers(move: Move, rows: Iterable[Values]) -> Mapping[str, str]:
    """Each `buyer` becomes the address as it is compared, or None. Returns by that how it was typed first."""
    normal: dict[str, str | None] = {}
    typed: dict[str, str] = {}
    for row in rows:
        email: str = row["buyer"] or ""
        if email and email not in normal:
            try:
                normal[email] = normal_email(email)
            except BadRequest:
                normal[email] = None
                move.report.note("An address of a buyer is none that a mail could be sent to: it is not kept.")
        row["buyer"] = buyer = normal.get(email)
        if buyer is not None:
            typed.setdefault(buyer, email.strip())
    return typed


def _ordered(move: Move, invoices: Iterable[Values], licenses: Iterable[Values]) -> Iterator[Values]:
    """With what came of them: a license, nothing, or money without a license, about which somebody has to decide."""
    made = {row["order_id"]: row["id"] for row in licenses}
    named: set[UUID | None] = set()
    for row in move.source.rows("licenses"):  # those too that stay behind
        with suppress(Senseless):
            named.add(row.id_or_none("invoice_id"))
    for order in invoices:
        license_id = made.get(order["id"])
        if license_id is None and order["id"] in named:
            move.report.leave("orders", order["id"], "made a license that stays behind")
        elif license_id is not None:  # an event that came late may have ended the order there (D-41)
            how = PaidHow.FREE if order["is_free"] else PaidHow.IMPORTED
            yield order | _fulfilled(license_id, order["status_at"], how)
        else:
            yield order


def _fulfilled(license_id: UUID, at: datetime, how: PaidHow) -> Values:
    status = {"purpose": Purpose.IMPORT, "status": OrderStatus.FULFILLED, "status_at": at}
    return {**status, "license_id": license_id, "paid_at": at, "paid_how": how}


async def _orders(move: Move, orders: Sequence[Values]) -> Written:
    written = await move.write("orders", Order, orders)
    notes: list[Values] = []
    count = 0
    for order in written.new:
        if order["status"] is OrderStatus.REVIEW:
            await call_for(move, order["id"], order["support_reference"])
        if order["note"] and order["customer_id"]:
            notes.append({"order_id": order["id"], "customer_id": order["customer_id"], "note": order["note"]})
        count += bool(order["note"])
    await move.put(CustomerNote, notes)
    move.report.not_kept(count - len(notes), "notes of buyers who gave no address")
    unpaid = sum(order["is_open"] for order in written.new)
    move.report.not_kept(unpaid, "orders that nobody had paid yet: money for them goes to the old server")
    return written


async def _erased(move: Move, typed: Iterable[str], sales: Sequence[Values]) -> Mapping[str | None, UUID]:
    """Ids by address, of who was erased here and did not come again. Their sales are marked, and lose their notes.

    Such an address is told by its hash; or by what it had brought before, since it may have been another here by then.
    """
    told = select(Customer.id, Customer.email_normal, Customer.erased_hash)
    customers = (await move.work.session.execute(told)).all()
    hashes = {row.erased_hash: row.id for row in customers if row.erased_hash is not None}
    if not hashes:
        return {}
    found: dict[str | None, UUID | None] = {address: hashes.get(erased_hash(move.vault, address)) for address in typed}
    found |= {row["buyer"]: move.erased[row["id"]] for row in sales if row["id"] in move.erased}
    here = {None, *(row.email_normal for row in customers)}
    erased = {address: owner for address, owner in found.items() if owner is not None and address not in here}
    for row in sales:
        order_id: UUID = row.get("order_id", row["id"])
        owner = erased.get(row["buyer"]) if row["buyer"] else move.erased.get(order_id)
        if owner is not None:
            move.erased[row["id"]] = owner
            row["note"] = None
    move.report.not_kept(len(erased), "addresses of buyers who were erased here")
    return erased


async def _customers(
    move: Move, typed: Mapping[str, str], sales: Iterable[Values], erased: Mapping[str | None, UUID]
) -> Mapping[str | None, UUID]:
    """Ids by address. Of what is here already nobody comes again: he may have another address by now."""
    known = {
        *await move.work.session.scalars(select(Order.id)),
        *await move.work.session.scalars(select(License.id)),
    }
    wanted = dict.fromkeys(row["buyer"] for row in sales if row["buyer"] and row["id"] not in known)
    there = select(Customer.email_normal, Customer.id).where(Customer.email_normal.is_not(None))
    here = {**erased, **{row.email_normal: row.id for row in await move.work.session.execute(there)}}
    new = [
        {"id": move.work.new_id(), "email": typed[normal], "email_normal": normal, "created_at": move.work.now}
        for normal in wanted
        if normal not in here
    ]
    written = await move.write("customers", Customer, new)
    return here | {row["email_normal"]: row["id"] for row in written.new}


def _order(move: Move, row: Row) -> Values:
    """Its id goes on opening the key."""
    status = row.one_of("status", WITHOUT_LICENSE)
    sats, listed = row.whole("amount_sats", MAX_SATS), row.whole_or_none("listed_value", MAX_MINOR)
    currency = row.currency("listed_currency") if row.words("listed_currency") else SAT
    is_free = row.text("btcpay_invoice_id").startswith("free-")
    value = 0 if is_free else sats if listed is None else listed
    rate = {
        "exchange_rate_centibps": row.whole_or_none("exchange_rate_centibps", MAX_MINOR),
        "exchange_rate_source": row.words("exchange_rate_source", 200),
    }
    return {
        **_blank(move, row.id(), row.id("product_id"), move.at(row, "created_at")),
        "invoice_id": row.text("id"),
        "purpose": Purpose.PURCHASE,
        "status": WITHOUT_LICENSE[status],
        "status_at": move.at(row, "updated_at"),
        "policy_id": row.id_or_none("policy_id"),
        "license_id": None,
        "listed_currency": currency,
        "listed_value": value,
        "base_value": value,
        "amount_sats": sats,
        "base_sats": sats,
        **(rate if currency != SAT else NO_RATE),
        "paid_at": None,
        "paid_how": None,
        "buyer": row.words("buyer_email"),
        "note": row.words("buyer_note"),
        "is_free": is_free,
        "is_open": status == "pending",
    }


def _given(move: Move, license: Values) -> Values:
    """The order of a license that was given by hand: there was none before."""
    return {
        **_blank(move, license["order_id"], license["product_id"], license["issued_at"]),
        **NO_PRICE,
        **NO_RATE,
        **_fulfilled(license["id"], license["issued_at"], PaidHow.FREE),
        "invoice_id": move.work.token(160),
        "policy_id": license["policy_id"],
        "buyer": license["buyer"],
        "note": None,
        "is_open": False,
    }


def _blank(move: Move, order_id: UUID, product_id: UUID, created: datetime) -> Values:
    return {
        "id": order_id,
        "support_reference": support_reference(move.work.chance),
        "product_id": product_id,
        "offer_id": None,
        "created_at": created,
        "expires_at": created,
        "watch_until": created,
        "next_look_at": None,
    }


def _license(move: Move, row: Row) -> Values:
    status, issued = row.word("status", LicenseStatus), move.at(row, "issued_at")
    ends, invoice_id = row.moment("expires_at"), row.id_or_none("invoice_id")
    entitlements = [str(slug) for slug in row.listed("entitlements_json")]
    if len(entitlements) > ENTITLEMENTS_MAX or any(len(slug.encode()) > ENTITLEMENT_BYTES_MAX for slug in entitlements):
        raise Senseless("has entitlements_json that no key can hold")
    if row.words("expires_at") and ends is None:
        words = f"License {row.name} never ends: nobody could read its end, and its key was signed without one."
        move.report.note(words)
    most = row.whole("max_machines", MAX_MINOR)
    return {
        "id": row.id(),
        "product_id": row.id("product_id"),
        "policy_id": row.id_or_none("policy_id"),
        "order_id": invoice_id or uuid5(row.id(), "order"),
        "status": status,
        "issued_at": issued,
        "key_issued_at": issued.replace(microsecond=0),
        "expires_at": ends,
        "grace_seconds": min(row.whole("grace_seconds", MAX_MINOR), SECONDS_MAX),
        "is_subscribed": False,
        "max_machines": min(most, MACHINES_MAX),
        "seats_taken": 0,
        "entitlements": entitlements,
        "is_trial": row.flag("is_trial"),
        "suspended_at": move.at(row, "suspended_at") if status is LicenseStatus.SUSPENDED else None,
        "suspension_reason": row.words("suspension_reason") if status is LicenseStatus.SUSPENDED else None,
        "revoked_at": move.at(row, "revoked_at") if status is LicenseStatus.REVOKED else None,
        "revocation_reason": row.words("revocation_reason"),
        "note": str(row.mapped("metadata_json").get("note") or "") or None,
        "created_at": issued,
        "buyer": row.words("buyer_email"),
        "is_sold": invoice_id is not None,
        "fingerprint": row.words("fingerprint") if most == 1 else None,  # kept in the clear there (D-33)
    }
