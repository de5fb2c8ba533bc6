"""What a buyer holds: a license, how it stands, and what is to be paid for it next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keysat.catalog.read import policy, product
from keysat.catalog.views import PolicyView, ProductView
from keysat.checkout.change.open import open_change
from keysat.checkout.change.tables import ChangeStatus
from keysat.checkout.held import Held, Standing, held_for_license, is_renewal_coming
from keysat.checkout.next_order import open_order
from keysat.checkout.pay_link import pay_token
from keysat.checkout.quote import known_quote
from keysat.checkout.seller import told_of
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.work import Read
from keysat.kit.currencies import SAT
from keysat.kit.money import Money
from keysat.kit.periods import Period
from keysat.licenses.issue import key_text
from keysat.licenses.read import machines_of
from keysat.licenses.standing import grace_end
from keysat.licenses.tables import License, LicenseStatus, Machine
from keysat.payments.rates.board import RateEvidence
from keysat.payments.rates.pins import pin_of
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.rules import can_renew, next_cycle, payable
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from keysat.upkeep.shop import Shop
from keysat.web.public import words
from keysat.web.public.cards import Line, buy_page, entitlement_lines
from keysat.web.public.told import references


class State(StrEnum):
    ACTIVE = "active"
    TRIAL = "trial"
    ENDING = "ending"  # it works, and does not renew when what is paid is over
    GRACE = "grace"
    OVER = "over"  # expired, lapsed, or the trial was not gone on with
    PAUSED = "paused"
    CANCELLED = "cancelled"  # and still works
    SUSPENDED = "suspended"
    REVOKED = "revoked"


WITHDRAWN = frozenset({State.SUSPENDED, State.REVOKED})
"""The seller decided: nothing but that is shown."""

WORKS = frozenset({State.ACTIVE, State.TRIAL, State.ENDING, State.GRACE, State.PAUSED, State.CANCELLED})


def state_of(license: License, subscription: Subscription | None, now: datetime) -> State:
    """Pure. It goes by the clock, so it is right before a job has seen what is over."""
    if license.status is not LicenseStatus.ACTIVE:
        return State(license.status.value)
    over = grace_end(license)
    if over is not None and over <= now:
        return State.PAUSED if _is(subscription, SubscriptionStatus.PAUSED) else State.OVER
    if _is(subscription, SubscriptionStatus.PAUSED):
        return State.PAUSED
    if _is(subscription, SubscriptionStatus.CANCELLED):
        return State.CANCELLED
    if license.expires_at is not None and license.expires_at <= now:
        return State.GRACE
    if subscription is not None and subscription.cancel_at_period_end:
        return State.ENDING
    return State.TRIAL if license.is_trial else State.ACTIVE


def _is(subscription: Subscription | None, status: SubscriptionStatus) -> bool:
    return subscription is not None and subscription.status is status


@dataclass(frozen=True, slots=True)
class Bill:
    """The next payment of a subscription."""

    price: Money
    sats: Money | None
    """None: no rate is known right now, or the price is in sats anyway."""
    is_about: bool
    """A code in sats lowers it, at the rate of the day."""
    is_anew: bool
    """A new calendar begins when it is paid."""
    starts_at: datetime
    ends_at: datetime


def next_bill(subscription: Subscription, over: datetime | None, rate: RateEvidence | None, now: datetime) -> Bill:
    """Pure. `over`: end of the license's grace."""
    terms = next_cycle(subscription, over, now)
    found = known_quote(terms.price, rate, terms.discount)
    price = found.price if found else terms.price  # the most it can be
    sats = found.amount_sats if found and price.currency != SAT else None
    is_about = terms.discount is not None and (found is None or found.is_in_sats)
    return Bill(price, Money(SAT, sats) if sats else None, is_about, terms.is_anew, terms.starts_at, terms.ends_at)


@dataclass(frozen=True, slots=True)
class Holding:
    """All that the pages of a license tell."""

    license: License
    product: ProductView
    tier: PolicyView | None
    subscription: Subscription | None
    order: Order | None
    """The one that is open for the next period."""
    money: Sequence[Held]
    """That came for renewals and changes of tier, and has brought nothing so far."""
    has_plan: bool
    """Another tier is planned for the end of what is paid: nothing is to be paid before."""
    bill: Bill | None
    """None: it does not renew."""
    pay_path: str
    machines: Sequence[Machine]
    seller: Mapping[str, object]
    key: str | None
    now: datetime

    @property
    def state(self) -> State:
        return state_of(self.license, self.subscription, self.now)

    @property
    def what(self) -> str:
        return f"{self.product.name} {self.tier.name}" if self.tier else self.product.name

    @property
    def works_until(self) -> datetime | None:
        """None: for ever."""
        return grace_end(self.license)

    @property
    def works(self) -> bool:
        until = self.works_until
        return self.state in WORKS and (until is None or self.now < until)

    @property
    def cadence(self) -> str:
        row = self.subscription
        return words.cadence(Period(row.period_count, row.period_unit)) if row else ""

    @property
    def new_price(self) -> Money | None:
        """A list price that the seller has announced, and that does not hold for the next payment yet."""
        row = self.subscription
        if row is None or row.next_value is None or row.next_value_from is None:
            return None
        is_next = row.next_value_from <= row.cycle_number + 1
        return None if is_next else Money(row.listed_currency, row.next_value)

    @property
    def has_card(self) -> bool:
        return self.subscription is not None and self.subscription.profile_id is not None

    @property
    def is_payable(self) -> bool:
        """As `checkout.renew.pay` sees it, which has the last word."""
        row = self.subscription
        if row is None or self.bill is None or self.license.status is not LicenseStatus.ACTIVE:
            return False
        if self.has_plan and self.now < row.paid_through:
            return False
        return payable(row, self.works_until, self.now, has_order=self.order is not None)

    @property
    def is_open(self) -> bool:
        """There is a page to pay on right now."""
        order = self.order
        return order is not None and order.is_open(self.now)

    @property
    def own_money(self) -> Held | None:
        """Of the order that is open for the next period."""
        return next((one for one in self.money if self.order is not None and one.order.id == self.order.id), None)

    @property
    def earlier(self) -> list[Held]:
        """Came for another order, such as one that was replaced: its buyer may take the open one for it."""
        own = self.own_money
        return [one for one in self.money if one is not own]

    @property
    def known(self) -> str:
        """Of which money a page tells before its button (`told`)."""
        return references(self.earlier)

    @property
    def is_payment_seen(self) -> bool:
        """All of it, be it late: it need not be sent again, as long as it may still count."""
        return is_renewal_coming(self.money)

    @property
    def is_moving(self) -> bool:
        """The page looks again: late money may still come, and who has paid is not left before a button to pay."""
        order = self.order
        is_watched = order is not None and order.status is not OrderStatus.INVALID and self.now <= order.watch_until
        return is_watched or any(one.standing is Standing.COMES for one in self.money)

    @property
    def is_in_review(self) -> bool:
        return self.order is not None and self.order.status is OrderStatus.REVIEW

    @property
    def price(self) -> Money | None:
        """What the next payment is: that of the open order, which keeps what it was quoted with."""
        if self.is_open and self.order is not None:
            return Money(self.order.listed_currency, self.order.listed_value)
        return self.bill.price if self.bill else None

    @property
    def sats(self) -> Money | None:
        if self.is_open and self.order is not None and self.order.listed_currency != SAT:
            return Money(SAT, self.order.amount_sats) if self.order.amount_sats else None
        return self.bill.sats if self.bill else None

    @property
    def again(self) -> str:
        """Where to buy anew."""
        return buy_page(self.product, self.tier, self.subscription.offer_id if self.subscription else None)

    @property
    def entitlements(self) -> list[Line]:
        hidden = self.tier.hidden_entitlements if self.tier else ()
        return entitlement_lines(self.product, self.license.entitlements, hidden)

    @property
    def seats(self) -> str:
        taken, most = len(self.machines), self.license.max_machines
        return f"{taken} of {words.seats(most)}" if most else words.counted(taken, "device")


async def holding_of(read: Read, shop: Shop, license: License, now: datetime) -> Holding:
    subscription = await subscription_of(read, license.id) if license.is_subscribed else None
    bill = await bill_of(read, shop, license, subscription, now) if subscription else None
    is_active = license.status is LicenseStatus.ACTIVE
    sold = await product(read, license.product_id)
    order = await open_order(read, subscription.id) if subscription else None
    return Holding(
        license=license,
        product=sold,
        tier=await policy(read, license.policy_id) if license.policy_id else None,
        subscription=subscription,
        order=order,
        money=await held_for_license(read, license.id, now),
        has_plan=await open_change(read, license.id, ChangeStatus.SCHEDULED) is not None,
        bill=bill,
        pay_path=f"/pay/{pay_token(shop.vault, subscription.id)}" if subscription else "",
        machines=await machines_of(read, license.id) if is_active else (),
        seller=await told_of(read, sold.merchant_profile_id),
        key=await key_text(read, license, shop.ring) if is_active else None,
        now=now,
    )


async def bill_of(read: Read, shop: Shop, license: License, subscription: Subscription, now: datetime) -> Bill | None:
    """None: it does not renew."""
    if not can_renew(subscription):
        return None
    rate = await rate_known(read, shop, subscription.listed_currency)
    return next_bill(subscription, grace_end(license), rate, now)


async def rate_known(read: Read, shop: Shop, currency: str) -> RateEvidence | None:
    """Without waiting for it: the next page may know more."""
    pin = await pin_of(read, currency)
    shop.board.warm(currency, pin)
    return shop.board.peek(currency, pin)
