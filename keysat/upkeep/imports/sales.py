"""Who bought, what was ordered, and the licenses that came of it. Each license keeps its id, so that its key holds."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import insert, select, update

from keysat.catalog.tables import DiscountCode
from keysat.checkout.tables import Order, OrderStatus, PaidHow, Purpose, Redemption, RedemptionStatus
from keysat.customers.accounts import normal_email
from keysat.customers.tables import Customer, CustomerNote
from keysat.infra.tables import AttentionRow
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.ids import support_reference
from keysat.kit.licensekey import fingerprint_hash
from keysat.licenses.tables import License, LicenseStatus, Machine
from keysat.upkeep.imports import source
from keysat.upkeep.imports.move import AT_ONCE, Move, Values
from keysat.upkeep.imports.source import INVOICES, listed, mapped, moment
from keysat.upkeep.rows import parted

Customers = Mapping[str, UUID]
"""By address as it is compared; ids of customers."""

NO_PRICE: Values = {"listed_currency": SAT, "listed_value": 0, "base_value": 0, "amount_sats": 0, "base_sats": 0}
ENDED = {"expired": OrderStatus.EXPIRED, "invalid": OrderStatus.INVALID, "pending": OrderStatus.EXPIRED}
REVIEW = "order_imported"  # the kind of attention
TOO_MANY = "imported_over_cap"  # why a machine was released


async def bring_sales(move: Move, issuer_key_id: UUID) -> None:
    licenses = list(move.source.rows(source.License, "licenses"))
    invoices = list(move.source.select(source.Invoice, "invoices", INVOICES))
    known = {
        *await move.work.session.scalars(select(Order.id)),
        *await move.work.session.scalars(select(License.id)),
    }
    new = (row.buyer_email for row in (*invoices, *licenses) if row.id not in known)  # others may be erased by now
    customers = await _customers(move, new)
    made = {row.invoice_id: row for row in licenses if row.invoice_id}
    orders = [_order(move, row, made.get(row.id), customers) for row in invoices]
    given = [_given(move, row, customers) for row in licenses if row.invoice_id is None]
    added = await move.write("orders", Order, [*orders, *given])
    for order in orders:
        if order["id"] in known and order["license_id"] and order["license_id"] not in known:
            await _paid_since(move, order)
        if order["status"] is OrderStatus.REVIEW and order["id"] in added:
            reference = order["support_reference"]
            words = f"Order {reference} was paid before the move, and no license came of it. Accept it to issue one."
            await move.work.attend(REVIEW, order["id"], words)
    await _notes(move, [row for row in invoices if row.id in added], customers)
    open_orders = sum(row.status == "pending" for row in invoices if row.id in added)
    move.report.left_behind(open_orders, "orders that nobody had paid yet: money for them goes to the old server")
    rows = [_license(move, row, issuer_key_id, customers) for row in licenses]
    await _machines(move, licenses, await move.write("licenses", License, rows))
    await _redemptions(move, {order["id"]: order["status"] for order in orders})


async def _notes(move: Move, invoices: Iterable[source.Invoice], customers: Customers) -> None:
    """What buyers wrote with their orders; of who gave no address there is nobody to keep it for."""
    written = [(row, customers.get(_normal(row.buyer_email) or "")) for row in invoices if row.buyer_note]
    notes = [
        {"order_id": row.id, "customer_id": customer_id, "note": str(row.buyer_note)}
        for row, customer_id in written
        if customer_id is not None
    ]
    if notes:
        await move.work.session.execute(insert(CustomerNote), notes)
    move.report.left_behind(len(written) - len(notes), "notes of buyers who gave no address")


async def _paid_since(move: Move, order: Values) -> None:
    """An earlier import brought it unpaid or without its license, and the old server went on selling."""
    fulfilled = {name: order[name] for name in ("purpose", "status", "status_at", "license_id", "paid_at", "paid_how")}
    unsold = update(Order).where(Order.id == order["id"], Order.license_id.is_(None))
    await move.work.session.execute(unsold.values(**fulfilled).execution_options(synchronize_session=False))
    call = update(AttentionRow).where(AttentionRow.kind == REVIEW, AttentionRow.subject == str(order["id"]))
    await move.work.session.execute(
        call.where(AttentionRow.settled_at.is_(None))
        .values(settled_at=move.work.now)
        .execution_options(synchronize_session=False)
    )


async def _customers(move: Move, typed: Iterable[str | None]) -> Customers:
    wanted: dict[str, str] = {}
    for email in typed:
        if email is not None and (normal := _normal(email)) is not None:
            wanted.setdefault(normal, email.strip())
        elif email:
            move.report.note("An address of a buyer is none that a mail could be sent to: it was left behind.")
    known = await _known(move)
    new = {normal: move.work.new_id() for normal in wanted if normal not in known}
    rows: list[Values] = [
        {"id": customer_id, "email": wanted[normal], "email_normal": normal, "created_at": move.work.now}
        for normal, customer_id in new.items()
    ]
    await move.write("customers", Customer, rows)
    return known | new


async def _known(move: Move) -> dict[str, UUID]:
    rows = await move.work.session.execute(
        select(Customer.email_normal, Customer.id).where(Customer.email_normal.is_not(None))
    )
    return {str(email): customer_id for email, customer_id in rows}


def _normal(email: str | None) -> str | None:
    try:
        return normal_email(email) if email else None
    except BadRequest:
        return None


def _order(move: Move, row: source.Invoice, made: source.License | None, customers: Customers) -> Values:
    """Its id goes on opening the key. Paid without a license: the operator has to decide."""
    settled, created = row.status == "settled", move.at(row.created_at)
    status = ENDED.get(row.status, OrderStatus.EXPIRED)
    if settled:
        status = OrderStatus.FULFILLED if made else OrderStatus.REVIEW
    currency = row.listed_currency or SAT
    value = row.amount_sats if row.listed_value is None else row.listed_value
    is_free = row.btcpay_invoice_id.startswith("free-")
    return {
        **_blank(move, row.id, row.product_id, created),
        "invoice_id": row.invoice_id,
        "purpose": Purpose.IMPORT if made else Purpose.PURCHASE,
        "status": status,
        "status_at": move.at(row.updated_at),
        "policy_id": row.policy_id,
        "customer_id": customers.get(_normal(row.buyer_email) or ""),
        "license_id": made.id if made else None,
        "listed_currency": currency,
        "listed_value": 0 if is_free else value,
        "base_value": 0 if is_free else value,
        "amount_sats": row.amount_sats,
        "base_sats": row.amount_sats,
        "exchange_rate_centibps": row.exchange_rate_centibps if currency != SAT else None,
        "exchange_rate_source": row.exchange_rate_source if currency != SAT else None,
        "paid_at": move.at(row.updated_at) if settled and made else None,
        "paid_how": (PaidHow.FREE if is_free else PaidHow.IMPORTED) if settled and made else None,
    }


def _given(move: Move, row: source.License, customers: Customers) -> Values:
    """The order of a license that was given by hand: there was none before."""
    issued = move.at(row.issued_at)
    return {
        **_blank(move, _order_id(row), row.product_id, issued),
        **NO_PRICE,
        "invoice_id": move.work.token(160),
        "purpose": Purpose.IMPORT,
        "status": OrderStatus.FULFILLED,
        "status_at": issued,
        "policy_id": row.policy_id,
        "customer_id": customers.get(_normal(row.buyer_email) or ""),
        "license_id": row.id,
        "exchange_rate_centibps": None,
        "exchange_rate_source": None,
        "paid_at": issued,
        "paid_how": PaidHow.FREE,
    }


def _order_id(row: source.License) -> UUID:
    return row.invoice_id or uuid5(row.id, "order")


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


def _license(move: Move, row: source.License, issuer_key_id: UUID, customers: Customers) -> Values:
    issued, ends = move.at(row.issued_at), moment(row.expires_at)
    if row.expires_at and ends is None:
        move.report.note(f"License {row.id} never ends: nobody could read its end, and its key was signed without one.")
    return {
        "id": row.id,
        "product_id": row.product_id,
        "policy_id": row.policy_id,
        "order_id": _order_id(row),
        "customer_id": customers.get(_normal(row.buyer_email) or ""),
        "issuer_key_id": issuer_key_id,
        "status": row.status,
        "issued_at": issued,
        "key_issued_at": issued.replace(microsecond=0),
        "expires_at": ends,
        "grace_seconds": max(0, row.grace_seconds),
        "is_subscribed": False,
        "max_machines": max(0, row.max_machines),
        "seats_taken": 0,
        "entitlements": [str(slug) for slug in listed(row.entitlements_json)],
        "is_trial": bool(row.is_trial),
        "suspended_at": move.at(row.suspended_at) if row.status is LicenseStatus.SUSPENDED else None,
        "suspension_reason": row.suspension_reason if row.status is LicenseStatus.SUSPENDED else None,
        "revoked_at": move.at(row.revoked_at) if row.status is LicenseStatus.REVOKED else None,
        "revocation_reason": row.revocation_reason,
        "note": str(mapped(row.metadata_json).get("note") or "") or None,
        "created_at": issued,
    }


async def _machines(move: Move, licenses: Iterable[source.License], added: set[UUID]) -> None:
    """Seats of licenses that come along now. More than the cap: the ones seen last stay (`decisions.md`)."""
    new = {row.id: row for row in licenses if row.id in added}
    seats: dict[UUID, dict[str, Values]] = {}
    gone: list[Values] = []
    for row in move.source.rows(source.Machine, "machines"):
        if row.license_id not in new:
            continue
        machine = _machine(move, row)
        if row.deactivated_at:
            gone.append(machine)
        else:
            seats.setdefault(row.license_id, {})[row.fingerprint_hash] = machine
    for row in new.values():
        if row.fingerprint and row.max_machines == 1:
            bound = _bound(move, row, row.fingerprint)
            seats.setdefault(row.id, {}).setdefault(bound["fingerprint_hash"], bound)
    taken: dict[UUID, int] = {}
    active: list[Values] = []
    for license_id, held in seats.items():
        last_seen = sorted(held.values(), key=lambda machine: machine["last_seen_at"], reverse=True)
        most = new[license_id].max_machines or len(last_seen)
        active += last_seen[:most]
        gone += [
            {**machine, "deactivated_at": move.work.now, "deactivation_reason": TOO_MANY}
            for machine in last_seen[most:]
        ]
        taken[license_id] = min(most, len(last_seen))
    await move.write("machines", Machine, [*active, *gone])
    await _count_seats(move, taken)


async def _count_seats(move: Move, taken: Mapping[UUID, int]) -> None:
    by_count: dict[int, list[UUID]] = {}
    for license_id, count in taken.items():
        by_count.setdefault(count, []).append(license_id)
    for count, ids in by_count.items():
        for part in parted(ids, AT_ONCE):
            await move.work.session.execute(
                update(License)
                .where(License.id.in_(part))
                .values(seats_taken=count)
                .execution_options(synchronize_session=False)
            )


def _machine(move: Move, row: source.Machine) -> Values:
    activated = move.at(row.activated_at)
    return {
        "id": row.id,
        "license_id": row.license_id,
        "fingerprint_hash": row.fingerprint_hash,
        "hostname": row.hostname and row.hostname[:255],
        "platform": row.platform and row.platform[:255],
        "activated_at": activated,
        "last_seen_at": moment(row.last_heartbeat_at) or activated,
        "deactivated_at": moment(row.deactivated_at),
        "deactivation_reason": row.deactivation_reason and row.deactivation_reason[:255],
    }


def _bound(move: Move, row: source.License, fingerprint: str) -> Values:
    """A license for one machine kept the fingerprint itself; here it is a seat like any other (D-33)."""
    issued = move.at(row.issued_at)
    return {
        "id": uuid5(row.id, "machine"),
        "license_id": row.id,
        "fingerprint_hash": fingerprint_hash(fingerprint).hex(),
        "hostname": None,
        "platform": None,
        "activated_at": issued,
        "last_seen_at": issued,
        "deactivated_at": None,
        "deactivation_reason": None,
    }


async def _redemptions(move: Move, orders: Mapping[UUID, OrderStatus]) -> None:
    """Of codes and orders that are here. What a code counts are the uses whose order was fulfilled."""
    codes: dict[UUID, DiscountCode] = {row.id: row for row in await move.work.session.scalars(select(DiscountCode))}
    used = [
        row
        for row in move.source.rows(source.Redemption, "discount_redemptions")
        if row.code_id in codes and row.invoice_id in orders
    ]
    rows = [_redemption(move, row, codes[row.code_id], orders[row.invoice_id]) for row in used]
    added = await move.write("uses of codes", Redemption, rows)
    for row in used:
        if row.id in added and orders[row.invoice_id] is OrderStatus.FULFILLED:
            codes[row.code_id].used_count += 1
    await move.work.session.flush()


def _redemption(move: Move, row: source.Redemption, code: DiscountCode, order: OrderStatus) -> Values:
    return {
        "id": row.id,
        "order_id": row.invoice_id,
        "discount_id": code.id,
        "status": RedemptionStatus.REDEEMED if order is OrderStatus.FULFILLED else RedemptionStatus.RELEASED,
        "kind": code.kind,
        "amount": code.amount,
        "currency": code.currency,
        "cycles": 1,
        "created_at": move.at(row.created_at),
        "status_at": move.at(row.updated_at),
    }
