"""Writing a change of tier down, whoever asks for it."""

from dataclasses import dataclass

from keysat.checkout.change.quote import ChangeQuote
from keysat.checkout.change.tables import ChangedBy, ChangeStatus, TierChange, TierChangeId
from keysat.checkout.tables import Order, OrderId
from keysat.infra.work import Work
from keysat.subscriptions.proration import Proration


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for it. `reason` is in the operator's own words."""

    by: ChangedBy = ChangedBy.BUYER
    reason: str | None = None
    redirect_url: str | None = None

    @property
    def is_operator(self) -> bool:
        return self.by is ChangedBy.ADMIN


BUYER = Asker()


def draft_change(
    work: Work, asked: ChangeQuote, asker: Asker, status: ChangeStatus, proration: Proration, order: Order | None
) -> TierChange:
    """An open one of the same status has to be superseded before. `order`: the one that pays it, drafted."""
    before, choice = asked.before, asked.choice
    change = TierChange(
        id=TierChangeId(work.new_id()),
        license_id=asked.license_id,
        order_id=OrderId(order.id) if order is not None else None,
        from_policy_id=asked.current.id,
        from_offer_id=before.offer_id,
        to_policy_id=asked.target.id,
        to_offer_id=choice.offer.id if choice.offer else None,
        direction=asked.direction,
        status=status,
        actor=asker.by,
        reason=asker.reason,
        listed_currency=choice.price.currency,
        charge_value=proration.charge.minor,
        target_value=choice.price.minor,
        period_count=choice.period.count if choice.period else None,
        period_unit=choice.period.unit if choice.period else None,
        is_anew=proration.is_anew,
        worth=proration.worth,
        quoted_license_end=before.license_end,
        quoted_subscription=before.subscription,
        quoted_cycle=before.cycle,
        quoted_paid_through=before.paid_through,
        created_at=work.now,
        status_at=work.now,
        expires_at=order.expires_at if order is not None and proration.charge.minor else None,
    )
    work.session.add(change)
    return change
