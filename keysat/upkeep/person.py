"""What is kept about one customer: to be handed out, or erased.

Erasing keeps the books and the chain of events: orders, licenses, amounts and events stay, without anything that tells
who it was. Keys go on validating. What is kept all the same: the keyed hash that a trial was had with, hashes of the
fingerprints of machines, and an issued invoice's own copy of its buyer, which the law asks for.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, select, update

from keysat.checkout.tables import Order, OrderStatus, Redemption, TierChange
from keysat.customers.tables import Customer, CustomerNote
from keysat.infra.tables import Base, EventOrigin, EventRow, OneTimeLink
from keysat.infra.work import Read, Work
from keysat.kit.errors import Conflict
from keysat.licenses.tables import License, Machine, OwnValue
from keysat.payments.tables import Attempt
from keysat.subscriptions.rules import renews
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from keysat.upkeep.export import rows_of
from keysat.upkeep.happenings import CustomerErased

ON_THE_WAY = (
    OrderStatus.DRAFT,
    OrderStatus.AWAITING,
    OrderStatus.PROCESSING,
    OrderStatus.PAID,
    OrderStatus.REVIEW,
)
BUYER = "buyer"  # the actor of what people do at the public doors
ERASED = "Erased."
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Holdings:
    """Which rows are a customer's, table by table."""

    customer: ColumnElement[bool]
    notes: ColumnElement[bool]
    orders: ColumnElement[bool]
    attempts: ColumnElement[bool]
    redemptions: ColumnElement[bool]
    changes: ColumnElement[bool]
    licenses: ColumnElement[bool]
    own_values: ColumnElement[bool]
    machines: ColumnElement[bool]
    subscriptions: ColumnElement[bool]
    cycles: ColumnElement[bool]

    @classmethod
    def of(cls, customer_id: UUID) -> "Holdings":
        licenses = select(License.id).where(License.customer_id == customer_id)
        theirs = (Order.customer_id == customer_id) | Order.license_id.in_(licenses)
        orders, subscribed = select(Order.id).where(theirs), Subscription.license_id.in_(licenses)
        return cls(
            customer=Customer.id == customer_id,
            notes=CustomerNote.customer_id == customer_id,
            orders=theirs,
            attempts=Attempt.order_id.in_(orders),
            redemptions=Redemption.order_id.in_(orders),
            changes=TierChange.license_id.in_(licenses),
            licenses=License.customer_id == customer_id,
            own_values=OwnValue.license_id.in_(licenses),
            machines=Machine.license_id.in_(licenses),
            subscriptions=subscribed,
            cycles=Cycle.subscription_id.in_(select(Subscription.id).where(subscribed)),
        )

    def by_table(self) -> Iterator[tuple[type[Base], ColumnElement[bool]]]:
        yield from (
            (Customer, self.customer),
            (CustomerNote, self.notes),
            (Order, self.orders),
            (Attempt, self.attempts),
            (Redemption, self.redemptions),
            (TierChange, self.changes),
            (License, self.licenses),
            (OwnValue, self.own_values),
            (Machine, self.machines),
            (Subscription, self.subscriptions),
            (Cycle, self.cycles),
        )


async def personal_data(read: Read, customer_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """All that is kept about them, table by table, with the events and from where they acted. Raises NotFound."""
    await read.get(Customer, customer_id)
    found: dict[str, list[dict[str, Any]]] = {}
    for model, which in Holdings.of(customer_id).by_table():
        table = Base.metadata.tables[model.__tablename__]
        found[str(table.name)] = await rows_of(read, table, which)
    found["events"] = []
    for subjects in _parts(await _subjects(read, customer_id)):
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


async def erase(work: Work, customer_id: UUID) -> Sequence[str]:
    """Returns the words by which copies elsewhere are found: what was erased, and ids. A second time does no harm.

    Raises NotFound; Conflict while money is on its way or a subscription renews.
    """
    customer = await work.hold(Customer, customer_id)
    theirs = Holdings.of(customer_id)
    await _check_at_rest(work, theirs)
    subjects = await _subjects(work, customer_id)
    known = (customer.email, customer.email_normal, customer.name, customer.note)
    secret_ids = await work.session.scalars(select(Order.invoice_id).where(theirs.orders))
    words = [*(word for word in known if word), *subjects, *secret_ids]
    await _forget_origins(work, subjects)
    await _blank(work, theirs)
    customer.email = customer.email_normal = customer.name = customer.note = None
    if customer.erased_at is None:
        customer.erased_at = work.now
        work.record(CustomerErased(customer_id))
    return words


async def _check_at_rest(work: Work, theirs: Holdings) -> None:
    late = (Order.status == OrderStatus.UNDERPAID) & (Order.watch_until > work.now)
    open_order = select(Order.support_reference).where(theirs.orders, Order.status.in_(ON_THE_WAY) | late).limit(1)
    reference = await work.session.scalar(open_order)
    if reference is not None:
        raise Conflict(f"Order {reference} is not settled yet: money may be on its way. Erase the customer after that.")
    for row in await work.session.scalars(select(Subscription).where(theirs.subscriptions)):
        if renews(row) or row.status == SubscriptionStatus.PAUSED:
            raise Conflict(f"Subscription {row.id} may still be billed: cancel it first.")


async def _blank(work: Work, theirs: Holdings) -> None:
    """What names or describes a person, in anybody's words, and what they are known by elsewhere."""
    none: None = None
    for model, which, values in (
        (Order, theirs.orders, {"redirect_url": none, "buyer_hash": none}),
        (Attempt, theirs.attempts, {"checkout_url": none, "customer_ref": none}),
        (License, theirs.licenses, {"note": none, "suspension_reason": none, "revocation_reason": none}),
        (OwnValue, theirs.own_values, {"reason": ERASED}),
        (Machine, theirs.machines, {"deactivation_reason": none}),
        (TierChange, theirs.changes, {"reason": none}),
        (
            Subscription,
            theirs.subscriptions,
            {
                "cancellation_reason": none,
                "next_value_reason": none,
                "profile_id": none,
                "profile_connection_id": none,
            },
        ),
    ):
        await _run(work, update(model).where(which).values(**values))
    await _run(work, delete(CustomerNote).where(theirs.notes))


async def _forget_origins(work: Work, subjects: Sequence[str]) -> None:
    """From where they acted: at all that was recorded in a transaction of theirs. And the links that were mailed."""
    for part in _parts(subjects):
        await _run(work, delete(OneTimeLink).where(OneTimeLink.subject.in_(part)))
        moments = select(EventRow.at).where(EventRow.subject.in_(part), EventRow.actor == BUYER)
        acts = select(EventRow.id).where(EventRow.actor == BUYER, EventRow.at.in_(moments))
        await _run(work, delete(EventOrigin).where(EventOrigin.event_id.in_(acts)))


async def _subjects(read: Read, customer_id: UUID) -> Sequence[str]:
    """Ids of all that is theirs, as events name them."""
    theirs, found = Holdings.of(customer_id), [str(customer_id)]
    queries: tuple[Select[Any], ...] = (
        select(Order.id).where(theirs.orders),
        select(Attempt.id).where(theirs.attempts),
        select(Redemption.id).where(theirs.redemptions),
        select(TierChange.id).where(theirs.changes),
        select(License.id).where(theirs.licenses),
        select(Machine.id).where(theirs.machines),
        select(Subscription.id).where(theirs.subscriptions),
    )
    for query in queries:
        found += [str(row_id) for row_id in await read.session.scalars(query)]
    return found


async def _run(work: Work, statement: Any) -> None:
    await work.session.execute(statement.execution_options(synchronize_session=False))


def _parts(words: Iterable[str]) -> Iterator[list[str]]:
    each = iter(words)
    while part := list(islice(each, AT_ONCE)):
        yield part
