"""What needs attention, as the operator reads it: what it is, where it is mended, and what can be done here and now.

The acts are the verbs that the API and the commands have; here is only which of them answers which call.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from keysat.checkout import operate, subscribed
from keysat.checkout.collect import collect
from keysat.checkout.gate import Doubt
from keysat.checkout.sales import Sold, orders_in_short
from keysat.checkout.settle import UNFULFILLED
from keysat.checkout.tables import OrderId, OrderStatus
from keysat.infra import attention
from keysat.infra.attention import AttentionView
from keysat.infra.work import Read, Work
from keysat.kit.errors import NotFound
from keysat.letters import outbox
from keysat.operators.scopes import Scope
from keysat.payments.connections import CONDITIONS
from keysat.subscriptions.lifecycle import PARKED
from keysat.upkeep.restore import RESTORED
from keysat.upkeep.unnamed_proxy import UNNAMED
from keysat.web.visit import Visit
from keysat.webhooks import deliveries, endpoints
from keysat.webhooks.attempt import FAILED
from keysat.webhooks.endpoints import WAITED, EndpointEdit
from keysat.webhooks.health import FAILING

Do = Callable[[Visit, AttentionView], Awaitable[None]]

UNPAID = frozenset({*OrderStatus} - {OrderStatus.DRAFT, OrderStatus.PAID, OrderStatus.FULFILLED})
WAITS = frozenset({OrderStatus.REVIEW, OrderStatus.PAID})
"""Such an order stays on the list until it is decided."""


@dataclass(frozen=True, slots=True)
class Act:
    """`asks`: what is said before, where it cannot be undone. `done`: what is said afterwards."""

    name: str
    words: str
    scope: Scope
    do: Do
    done: str
    asks: str = ""
    of: frozenset[OrderStatus] = frozenset(OrderStatus)
    """What it is about is an order in one of these states."""


def _verb(verb: Callable[[Work, Any], Awaitable[object]]) -> Do:
    """Of a slice, which takes the id of what the call is about."""

    async def do(visit: Visit, call: AttentionView) -> None:
        async with visit.work() as work:
            await verb(work, UUID(call.subject))

    return do


async def _look_again(visit: Visit, call: AttentionView) -> None:
    await collect(visit.desk, OrderId(UUID(call.subject)))


async def _pause(work: Work, endpoint_id: UUID) -> None:
    await endpoints.edit(work, endpoint_id, EndpointEdit(active=False))


async def _settle(visit: Visit, call: AttentionView) -> None:
    async with visit.work() as work:
        await attention.settle(work, call.id)


ACCEPT = Act(
    "accept",
    "Accept it as paid",
    Scope.OWNER,
    _verb(operate.accept),
    "Accepted: what was ordered is issued.",
    asks="Accepting issues what was ordered, once, whatever came in.",
    of=UNPAID,
)
REFUSE = Act(
    "refuse",
    "Refuse it",
    Scope.ORDERS_WRITE,
    _verb(operate.refuse),
    "Refused. Give the money back where it was paid.",
    asks="Refusing ends the order. Money that came in is yours to give back.",
    of=UNPAID,
)
LOOK_AGAIN = Act("look", "Try again now", Scope.ORDERS_WRITE, _look_again, "Looked at again.")
OPEN_AGAIN = Act(
    "open", "Try again now", Scope.SUBSCRIPTIONS_WRITE, _verb(subscribed.retry), "Its next order is opened now."
)
SEND_AGAIN = Act("send", "Send it again", Scope.ORDERS_WRITE, _verb(outbox.retry), "It is on its way again.")
REPLAY = Act(
    "replay",
    "Send the dead letters again",
    Scope.WEBHOOKS_WRITE,
    _verb(deliveries.replay),
    "They are on their way again.",
)
PAUSE = Act("pause", "Pause it", Scope.WEBHOOKS_WRITE, _verb(_pause), "Paused. What happens meanwhile waits for it.")
SETTLE = Act("settle", "Done", Scope.ORDERS_WRITE, _settle, "Taken off the list.", of=frozenset(OrderStatus) - WAITS)
"""A person has dealt with it elsewhere. On every call, beside those of its sort."""


@dataclass(frozen=True, slots=True)
class Sort:
    """`place`: the page where it is mended, with `{subject}` for what it is about."""

    name: str
    acts: Sequence[Act] = ()
    place: str = ""
    place_words: str = ""
    scope: Scope = Scope.ORDERS_READ
    """Of who is shown it."""


OTHER = Sort("To decide")
_MONEY = Sort("Payment in doubt", (ACCEPT, REFUSE))
_REFUND = Sort("Money to give back")
_PROVIDER = Sort(
    "Payment provider", place="/admin/providers", place_words="To the providers", scope=Scope.PAYMENT_PROVIDERS_READ
)


def _webhook(name: str, act: Act) -> Sort:
    return Sort(name, (act,), "/admin/webhooks/{subject}", "Look at it", Scope.WEBHOOKS_READ)


SORTS: Mapping[str, Sort] = {
    **{f"order_{doubt}": _MONEY for doubt in Doubt},
    "order_imported": _MONEY,
    "order_overpaid": _REFUND,
    "paid_twice": _REFUND,
    "payment_reversed": Sort("Payment taken back"),
    UNFULFILLED: Sort("Paid, and no license", (LOOK_AGAIN,)),
    "look_failed": Sort("Order not looked at", (LOOK_AGAIN,)),
    **dict.fromkeys((*CONDITIONS, "provider_refuses", "unknown_status", "btcpay_not_connected"), _PROVIDER),
    PARKED: Sort("Renewal stopped", (OPEN_AGAIN,), scope=Scope.SUBSCRIPTIONS_READ),
    "letter_parked": Sort("Letter not sent", (SEND_AGAIN,)),
    FAILING: _webhook("Webhook fails", PAUSE),
    FAILED: _webhook("Webhook gave up", REPLAY),
    WAITED: _webhook("Webhook waited too long", REPLAY),
    RESTORED: Sort("Restored from a backup"),
    UNNAMED: Sort("Proxy in front of the shop"),
}
"""By the kind of the call."""
DONE = {act.name: act.done for sort in SORTS.values() for act in (*sort.acts, SETTLE)}
"""What is said afterwards, by the name of the act."""


@dataclass(frozen=True, slots=True)
class Call:
    """`order`: the one it is about, if any. `acts`: what this visitor can do here."""

    told: AttentionView
    sort: Sort
    order: Sold | None
    acts: Sequence[Act]

    @property
    def place(self) -> str:
        return self.sort.place.format(subject=self.told.subject)


async def shown(visit: Visit, read: Read, told: Sequence[AttentionView]) -> Sequence[Call]:
    """Of these, what this visitor may look at. What a person dealt with is not acted on from a page of before."""
    subjects = [view.subject for view in told]
    orders = {str(order_id): sold for order_id, sold in (await orders_in_short(read, _ids(subjects))).items()}
    calls: list[Call] = []
    for view in told:
        sort, order = SORTS.get(view.kind, OTHER), orders.get(view.subject)
        if visit.may(sort.scope):
            left = (SETTLE,) if view.settled_at is not None else (*sort.acts, SETTLE)
            fitting = [act for act in left if order is None or order.status in act.of]
            calls.append(Call(view, sort, order, [act for act in fitting if visit.may(act.scope)]))
    return calls


async def chosen(visit: Visit, read: Read, call_id: int, name: str) -> tuple[AttentionView, Act]:
    """The act of that name, which stands beside this call. Raises NotFound."""
    for call in await shown(visit, read, [await attention.call(read, call_id)]):
        for act in call.acts:
            if act.name == name:
                return call.told, act
    raise NotFound("This cannot be done here, or not any more, or your account may not do it.")


def _ids(subjects: Sequence[str]) -> list[UUID]:
    """Those that are ids."""
    found: list[UUID] = []
    for subject in subjects:
        try:
            found.append(UUID(subject))
        except ValueError:
            continue
    return found
