"""Taking in a provider's message: store it, mark the order it may concern as due for a look, answer."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from keysat.infra.attention import clear
from keysat.infra.work import Work
from keysat.payments.connections import WEBHOOK_MISSING
from keysat.payments.provider import Nudge
from keysat.payments.tables import Attempt, ConnectionId, NudgeRow


async def keep(work: Work, connection_id: ConnectionId, nudge: Nudge) -> Sequence[UUID]:
    """Store the nudge and name the orders to look at. A delivery that is here already names none.

    An invoice we did not open (another shop uses the same account) is kept and names none: it is never looked up.
    """
    stored = await work.session.execute(
        work.insert(NudgeRow)
        .values(
            id=work.new_id(),
            connection_id=connection_id,
            delivery_id=nudge.delivery_id,
            event=nudge.event[:64],
            invoice_id=nudge.invoice_id,
            received_at=work.now,
        )
        .on_conflict_do_nothing(index_elements=["connection_id", "delivery_id"])
        .returning(NudgeRow.id)
    )
    await clear(work, connection_id, WEBHOOK_MISSING)  # whoever tells us has our address
    if stored.first() is None or nudge.invoice_id is None:
        return []
    orders = await work.session.scalars(
        select(Attempt.order_id).where(
            Attempt.connection_id == connection_id, Attempt.provider_invoice_id == nudge.invoice_id
        )
    )
    return orders.all()
