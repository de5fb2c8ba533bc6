"""Who bought, what was ordered, and the licenses that came of it. Each license keeps its id, so that its key holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID, uuid5

from keysat.checkout.tables import Order, OrderStatus, PaidHow, Purpose
from keysat.customers.tables import CustomerNote
from keysat.kit.currencies import SAT
from keysat.kit.ids import support_reference
from keysat.kit.licensekey import ENTITLEMENT_BYTES_MAX, ENTITLEMENTS_MAX
from keysat.kit.money import MAX_MINOR, MAX_SATS
from keysat.licenses.tables import License, LicenseStatus
from keysat.upkeep.imports.again import call_for, licenses_again, orders_again
from keysat.upkeep.imports.buyers import bring_buyers, look_at_buyers
from keysat.upkeep.imports.fields import Values, alike
from keysat.upkeep.imports.machines import bring_machines
from keysat.upkeep.imports.move import Move, Written
from keysat.upkeep.imports.source import Row, Senseless
from keysat.upkeep.imports.uses import bring_uses

NO_PRICE: Values = {"listed_currency": SAT, "listed_value": 0, "base_value": 0, "amount_sats": 0, "base_sats": 0}
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
    buyers = await look_at_buyers(move, invoices, made)
    move.here["orders"] = {order["id"] for order in invoices} | {row["order_id"] for row in made if not row["is_sold"]}
    licenses = move.fitting("licenses", License, made)
    orders = [*_ordered(move, invoices, licenses), *(_given(move, row) for row in licenses if not row["is_sold"])]
    await bring_buyers(move, buyers, [*orders, *licenses])
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


def _order(move: Move, row: Row) -> Values:
    """Its id goes on opening the key."""
    status = row.one_of("status", WITHOUT_LICENSE)
    same, called = ("id", "product_id", "policy_id", "created_at"), {"invoice_id": "id", "status_at": "updated_at"}
    order = alike(row, move.work.now, Order, *same, **called)
    sats, listed = row.whole("amount_sats", MAX_SATS), row.whole_or_none("listed_value", MAX_MINOR)
    currency = row.currency("listed_currency") if row.words("listed_currency") else SAT
    is_free = row.text("btcpay_invoice_id").startswith("free-")
    value = 0 if is_free else sats if listed is None else listed
    rate = alike(row, move.work.now, Order, "exchange_rate_centibps", "exchange_rate_source")
    return {
        **order,
        **_over(move, order["created_at"]),
        "purpose": Purpose.PURCHASE,
        "status": WITHOUT_LICENSE[status],
        "listed_currency": currency,
        "listed_value": value,
        "base_value": value,
        "amount_sats": sats,
        "base_sats": sats,
        **(rate if currency != SAT else {}),
        "buyer": row.words("buyer_email"),
        "note": row.words("buyer_note"),
        "is_free": is_free,
        "is_open": status == "pending",
    }


def _given(move: Move, license: Values) -> Values:
    """The order of a license that was given by hand: there was none before."""
    return {
        **{name: license[name] for name in ("product_id", "policy_id", "created_at", "buyer")},
        **_over(move, license["created_at"]),
        **_fulfilled(license["id"], license["issued_at"], PaidHow.FREE),
        **NO_PRICE,
        "id": license["order_id"],
        "invoice_id": move.work.token(160),
        "note": None,
        "is_open": False,
    }


def _over(move: Move, created: datetime) -> Values:
    """Of an order that nobody can pay here."""
    return {
        "support_reference": support_reference(move.work.chance),
        "expires_at": created,
        "watch_until": created,
    }


def _license(move: Move, row: Row) -> Values:
    same = "id", "product_id", "policy_id", "status", "issued_at", "expires_at", "grace_seconds", "max_machines"
    license = alike(row, move.work.now, License, *same, "is_trial", "revocation_reason")
    status, issued, invoice_id = license["status"], license["issued_at"], row.id_or_none("invoice_id")
    entitlements = [str(slug) for slug in row.listed("entitlements_json")]
    if len(entitlements) > ENTITLEMENTS_MAX or any(len(slug.encode()) > ENTITLEMENT_BYTES_MAX for slug in entitlements):
        raise Senseless("has entitlements_json that no key can hold")
    if row.words("expires_at") and license["expires_at"] is None:
        why = "never ends: nobody could read its end, and its key was signed without one."
        move.report.note(f"License {row.name} {why}")
    is_suspended = status is LicenseStatus.SUSPENDED
    return license | {
        "order_id": invoice_id or uuid5(license["id"], "order"),
        "key_issued_at": issued.replace(microsecond=0),
        "is_subscribed": False,
        "seats_taken": 0,
        "entitlements": entitlements,
        "suspended_at": move.at(row, "suspended_at") if is_suspended else None,
        "suspension_reason": row.words("suspension_reason") if is_suspended else None,
        "revoked_at": move.at(row, "revoked_at") if status is LicenseStatus.REVOKED else None,
        "note": str(row.mapped("metadata_json").get("note") or "") or None,
        "created_at": issued,
        "buyer": row.words("buyer_email"),
        "is_sold": invoice_id is not None,
        "fingerprint": row.words("fingerprint") if license["max_machines"] == 1 else None,  # in the clear there (D-33)
    }
