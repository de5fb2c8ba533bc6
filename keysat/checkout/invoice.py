"""The provider's invoice of an order, whatever the order is for: the rate it is priced at, the try, the asking.

Order and attempt are written before the provider is asked, so that no crash loses an invoice.
"""

from fractions import Fraction

from keysat.catalog.pricing import Cut, reduced, works_in_sats
from keysat.catalog.tiers import Choice
from keysat.checkout.close import close
from keysat.checkout.desk import Desk
from keysat.checkout.schedule import FIRST_LOOK, MONITOR_FOR, OPEN_FOR, WATCH_AFTER_MONITOR
from keysat.checkout.tables import ORDER, Order, OrderId, OrderStatus, Purpose, Step
from keysat.customers.accounts import customer
from keysat.infra.work import Work
from keysat.kit.currencies import SAT
from keysat.kit.errors import UpstreamError
from keysat.kit.money import BtcRate, Money, up
from keysat.payments.provider import (
    InvoiceRequest,
    InvoiceSnapshot,
    OutcomeUnknown,
    ProviderError,
    Rail,
    Transient,
)
from keysat.payments.rates.board import RateEvidence, RateUnavailable
from keysat.payments.tables import Attempt, AttemptId
from keysat.payments.tills import OpenTill
from keysat.subscriptions import openings
from keysat.subscriptions.read import cycle_of_order

PROVIDER_WORDS_MAX = 200  # of what a provider says, for the operator


async def rate_for(desk: Desk, price: Money, discount: Cut | None, pin: BtcRate | None) -> RateEvidence | None:
    """None when nobody knows: a provider that prices fiat itself can still be asked. What is free waits for no rate."""
    if price.minor == 0 or price.currency == SAT:
        return None
    if discount is not None and not works_in_sats(discount, price.currency) and reduced(price, discount).minor == 0:
        return desk.board.peek(price.currency, pin)
    try:
        return await desk.board.rate(price.currency, pin)
    except RateUnavailable:
        return None


def try_at(work: Work, order: Order, till: OpenTill, asked: Money) -> Attempt:
    """The try to be paid so much through this till, written down."""
    attempt = Attempt(
        id=AttemptId(work.new_id()),
        echo=work.token(160),
        order_id=order.id,
        connection_id=till.id,
        price_currency=asked.currency,
        price_minor=asked.minor,
        created_at=work.now,
        expires_at=order.expires_at,
        monitor_until=work.now + MONITOR_FOR,
    )
    work.session.add(attempt)
    return attempt


async def open_invoice(
    desk: Desk,
    till: OpenTill,
    order: Order,
    attempt: Attempt,
    choice: Choice,
    *,
    customer_ref: str | None = None,
    back_to: str | None = None,
    charge_follows: bool = False,
) -> InvoiceSnapshot:
    """Ask the provider for its invoice. A time-out is searched for before anything is given up.

    What is bought by the period may be paid with a card that is kept, where the till keeps them; `customer_ref` names
    whose, as an earlier attempt has it. `back_to` is our page that the checkout leads back to, unless the app asked for
    another; None: that of the order. `charge_follows` as of `opened`.

    Raises UpstreamError when there is none now, which the order says too, or none that tells its sats.
    """
    description, item_code = _described(choice)
    may_save_card = till.capabilities.saved_profiles and order.period_count is not None
    request = InvoiceRequest(
        attempt_id=attempt.echo,
        price=Money(attempt.price_currency, attempt.price_minor),
        description=description,
        item_code=item_code,
        expires_in_seconds=int(OPEN_FOR.total_seconds()),
        monitor_seconds=int(MONITOR_FOR.total_seconds()),
        return_url=order.redirect_url or back_to or f"{desk.public_url}{order.page}",
        rails=frozenset({Rail(order.rail)}) if order.rail else frozenset(),
        asked_at=desk.now,
        may_save_card=may_save_card,
        customer_ref=customer_ref,
        buyer_email=await _email(desk, order) if may_save_card else None,
    )
    try:
        shown = await _created(till, request)
    except ProviderError as error:
        await _not_opened(desk, till, order.id, attempt.id, error)
        raise UpstreamError(
            "The payment provider does not answer properly at the moment. Nothing was charged. "
            "Please try again in a minute.",
            retry_after_seconds=60,
        ) from error
    async with desk.work() as work:
        kept = await opened(work, order.id, attempt.id, shown, charge_follows=charge_follows)
    if kept.amount_sats is None:  # it can be paid all the same, but nobody could be told how much
        raise RateUnavailable(kept.listed_currency)
    return shown


async def _email(desk: Desk, order: Order) -> str | None:
    if order.customer_id is None:
        return None
    async with desk.read() as read:
        return (await customer(read, order.customer_id)).email


async def _created(till: OpenTill, request: InvoiceRequest) -> InvoiceSnapshot:
    """Raises OutcomeUnknown when neither the answer nor a search tells whether there is an invoice now."""
    try:
        return await till.till.create_invoice(request)
    except OutcomeUnknown as lost:
        try:
            found = await till.till.find_by_attempt(request.attempt_id)
        except ProviderError:
            raise lost from None
        if not found:
            raise
        return found[0]


async def opened(
    work: Work, order_id: OrderId, attempt_id: AttemptId, shown: InvoiceSnapshot, *, charge_follows: bool
) -> Order:
    """The provider's invoice is there: the order can be paid, and the subscription that it renews knows.

    Also the road of a draft that a crash left behind. `charge_follows`: a saved card, if there is one, is asked next.
    """
    order = await work.hold(Order, order_id)
    attempt = await work.get(Attempt, attempt_id)
    if attempt.provider_invoice_id is not None:
        return order
    attempt.provider_invoice_id = shown.invoice_id
    attempt.checkout_url = shown.checkout_url
    attempt.customer_ref = shown.customer_ref
    attempt.expires_at = shown.expires_at or attempt.expires_at
    attempt.monitor_until = shown.monitor_until or attempt.monitor_until
    if order.amount_sats is None and shown.due_sats is not None:  # no rate was known: the provider's own sats are shown
        order.amount_sats = shown.due_sats
        order.base_sats = up(Fraction(shown.due_sats * order.base_value, order.listed_value))
    order.expires_at = attempt.expires_at
    order.watch_until = max(order.watch_until, attempt.monitor_until + WATCH_AFTER_MONITOR)
    await work.session.flush()
    if order.status == OrderStatus.DRAFT:
        await work.advance(ORDER, order, Step.OPEN, status_at=work.now, next_look_at=work.now + FIRST_LOOK)
        cycle = await cycle_of_order(work, order.id) if order.purpose is Purpose.RENEWAL else None
        if cycle is not None:
            sats = order.amount_sats
            await openings.opened(work, cycle.subscription_id, order.id, sats, charge_follows=charge_follows)
    return order


async def _not_opened(
    desk: Desk, till: OpenTill, order_id: OrderId, attempt_id: AttemptId, error: ProviderError
) -> None:
    """A refusal ends the draft. After a time-out it stays: the invoice may yet turn up, and the reconciler looks."""
    async with desk.work() as work:
        if isinstance(error, OutcomeUnknown):
            return
        attempt = await work.get(Attempt, attempt_id)
        attempt.failed = type(error).__name__
        order = await work.hold(Order, order_id)
        if order.status == OrderStatus.DRAFT:  # else somebody has dropped it meanwhile
            await close(work, order, Step.FAIL, next_look_at=None, failure=attempt.failed)
        if not isinstance(error, Transient):
            words = f"{till.connection.provider} opened no invoice: {error}"[:PROVIDER_WORDS_MAX]
            await work.attend("provider_refuses", till.id, words, again=True)


def _described(choice: Choice) -> tuple[str, str]:
    """What the buyer reads on the provider's page, and the code in its lists."""
    if choice.policy is None:
        return choice.product.name, choice.product.slug
    return f"{choice.product.name} {choice.policy.name}", f"{choice.product.slug}/{choice.policy.slug}"
