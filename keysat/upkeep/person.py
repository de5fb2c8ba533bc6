"""What is kept about one customer: to be handed out, or erased.

Erasing keeps the books and the chain of events: orders, licenses, amounts and events stay, without anything that tells
who it was. Keys go on validating. What is kept all the same: the keyed hash that a trial was had with, and the one by
which an import knows the address, hashes of the fingerprints of machines, and an issued invoice's own copy of its
buyer, which the law asks for.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update

from keysat.checkout.change.tables import TierChange
from keysat.checkout.tables import Order, OrderStatus, Redemption
from keysat.customers.tables import Customer, CustomerNote
from keysat.infra.tables import Base, EventOrigin, EventRow, OneTimeLink
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.errors import Conflict
from keysat.licenses.tables import License, Machine, OwnValue
from keysat.payments.tables import Attempt
from keysat.subscriptions.rules import renews
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from keysat.upkeep.export import rows_of
from keysat.upkeep.happenings import CustomerErased
from keysat.upkeep.rows import parted

ON_THE_WAY = (
    OrderStatus.DRAFT,
    OrderStatus.AWAITING,
    OrderStatus.PROCESSING,
    OrderStatus.PAID,
    OrderStatus.REVIEW,
)
BUYER = "buyer"  # the actor of what people do at the public doors
TOLD_OF = (Order, Attempt, Redemption, TierChange, License, Machine, Subscription)
"""What events are about, besides the customer."""
BLANKED: Mapping[type[Base], Mapping[str, str | None]] = {
    Order: {"redirect_url": None, "buyer_hash": None},
    Attempt: {"checkout_url": None, "customer_ref": None},
    License: {"note": None, "suspension_reason": None, "revocation_reason": None},
    OwnValue: {"reason": "Erased."},
    Machine: {"hostname": None, "platform": None, "deactivation_reason": None},
    TierChange: {"reason": None},
    Subscription: {
        "cancellation_reason": None,
        "next_value_reason": None,
        "profile_id": None,
        "profile_connection_id": None,
    },
}
"""What names or describes a person, in anybody's words, and what they are known by elsewhere."""
AT_ONCE = 500


Holdings = Mapping[type[Base], ColumnElement[bool]]
"""Which rows are a customer's, table by table."""


def holdings(customer_id: UUID) -> Holdings:
    licenses = select(License.id).where(License.customer_id == customer_id)
    orders = (Order.customer_id == customer_id) | Order.license_id.in_(licenses)
    order_ids, subscriptions = select(Order.id).where(orders), Subscription.license_id.in_(licenses)
    return {
        Customer: Customer.id == customer_id,
        CustomerNote: CustomerNote.customer_id == customer_id,
        Order: orders,
        Attempt: Attempt.order_id.in_(order_ids),
        Redemption: Redemption.order_id.in_(order_ids),
        TierChange: TierChange.license_id.in_(licenses),
        License: License.customer_id == customer_id,
        OwnValue: OwnValue.license_id.in_(licenses),
        Machine: Machine.license_id.in_(licenses),
        Subscription: subscriptions,
        Cycle: Cycle.subscription_id.in_(select(Subscription.id).where(subscriptions)),
    }


async def personal_data(read: Read, customer_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """All that is kept about them, table by table, with the events and from where they acted. Raises NotFound."""
    await read.get(Customer, customer_id)
    found: dict[str, list[dict[str, Any]]] = {}
    for model, which in holdings(customer_id).items():
        table = Base.metadata.tables[model.__tablename__]
        found[str(table.name)] = await rows_of(read, table, which)
    found["events"] = []
    for subjects in parted(await _subjects(read, customer_id), AT_ONCE):
        rows = await read.session.execute(
            select(EventRow, EventOrigin.address)
            .outerjoin(EventOrigin, (EventOrigin.event_id == EventRow.id) & (EventRow.actor == BUYER))
            .where(EventRow.subject.in_(subjects))
            .order_by(EventRow.id)
        )
        found["events"] += [
            {"at": row.at, "name": row.name, "subject": row.subject, "actor": row.actor, "address": address}
            for row, address in rows
        ]
    return found


def erased_hash(vault: Vault, email_normal: str) -> str:
    """By which an erased address is known, should it be met again."""
    return vault.derive("erased", email_normal.encode()).hex()


async def erase(work: Work, vault: Vault, customer_id: UUID) -> Sequence[str]:
    """Returns the words by which copies elsewhere are found: what was erased, and ids. A second time does no harm.

    Raises NotFound; Conflict while money is on its way or a subscription renews.
    """
    customer = await work.hold(Customer, customer_id)
    theirs = holdings(customer_id)
    await _check_at_rest(work, theirs)
    subjects = await _subjects(work, customer_id)
    known = (customer.email, customer.email_normal, customer.name, customer.note)
    secret_ids = await work.session.scalars(select(Order.invoice_id).where(theirs[Order]))
    words = [*(word for word in known if word), *subjects, *secret_ids]
    await _forget_origins(work, subjects)
    await _blank(work, theirs)
    if customer.email_normal is not None:
        customer.erased_hash = erased_hash(vault, customer.email_normal)
    customer.email = customer.email_normal = customer.name = customer.note = None
    if customer.erased_at is None:
        customer.erased_at = work.now
        work.record(CustomerErased(customer_id))
    return words


async def _check_at_rest(work: Work, theirs: Holdings) -> None:
    late = (Order.status == OrderStatus.UNDERPAID) & (Order.watch_until > work.now)
    open_order = select(Order.support_reference).where(theirs[Order], Order.status.in_(ON_THE_WAY) | late).limit(1)
    reference = await work.session.scalar(open_order)
    if reference is not None:
        raise Conflict(f"Order {reference} is not settled yet: money may be on its way. Erase the customer after that.")
    for row in await work.session.scalars(select(Subscription).where(theirs[Subscription])):
        if renews(row) or row.status == SubscriptionStatus.PAUSED:
            raise Conflict(f"Subscription {row.id} may still be billed: cancel it first.")


async def _blank(work: Work, theirs: Holdings) -> None:
    for model, values in BLANKED.items():
        await _run(work, update(model).where(theirs[model]).values(**values))
    await _run(work, delete(CustomerNote).where(theirs[CustomerNote]))


async def _forget_origins(work: Work, subjects: Sequence[str]) -> None:
    """From where they acted: at all that was recorded in a transaction of theirs. And the links that were mailed."""
    for part in parted(subjects, AT_ONCE):
        await _run(work, delete(OneTimeLink).where(OneTimeLink.subject.in_(part)))
        moments = select(EventRow.at).where(EventRow.subject.in_(part), EventRow.actor == BUYER)
        acts = select(EventRow.id).where(EventRow.actor == BUYER, EventRow.at.in_(moments))
        await _run(work, delete(EventOrigin).where(EventOrigin.event_id.in_(acts)))


async def _subjects(read: Read, customer_id: UUID) -> Sequence[str]:
    """Ids of all that is theirs, as events name them."""
    theirs, found = holdings(customer_id), [str(customer_id)]
    for model in TOLD_OF:
        found += [str(row_id) for row_id in await read.session.scalars(select(model.id).where(theirs[model]))]
    return found


async def _run(work: Work, statement: Any) -> None:
    await work.session.execute(statement.execution_options(synchronize_session=False))
