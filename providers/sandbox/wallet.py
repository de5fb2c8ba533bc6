"""The wallet itself: invoices that live by its own clock, without HTTP."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from keysat.kit.clock import Clock
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance, token
from keysat.kit.money import BtcRate, Money, to_sats
from providers.sandbox.accidents import Accident, Moment, pay
from providers.sandbox.book import Book
from providers.sandbox.cards import CARDS, SHOWN_AFTER, Card, SavedCard, charged
from providers.sandbox.invoice import Change, Invoice, Status, by_time
from providers.sandbox.wire import NewInvoice, Webhook

PLAY_PRICE_OF_BTC = Decimal(50_000)  # what the demo pins, so that shop and wallet name the same sats
"""One bitcoin costs this much of any currency here."""


class Missing(Exception):
    """There is no such invoice, or no such card."""


class Declined(Exception):
    """The card was not charged."""


def sats(amount: Money) -> int:
    """At the play price, rounded up. Raises BadRequest above the 21 million bitcoin."""
    return to_sats(amount, None if amount.currency == SAT else BtcRate.of(amount.currency, PLAY_PRICE_OF_BTC))


class Wallet:
    """Every read first lets the time that has passed do its work, so no timer has to be exact."""

    def __init__(self, book: Book, clock: Clock, chance: Chance, double_spend_seconds: int = 5) -> None:
        self.book = book
        self.news = asyncio.Event()  # set when there is something to deliver
        self._clock = clock
        self._chance = chance
        self._double_spend_seconds = double_spend_seconds
        self.id = book.wallet_id(token(chance, 80))

    def now(self) -> datetime:
        return self._clock.now()

    def create(self, new: NewInvoice) -> Invoice:
        """Raises BadRequest for a currency or an amount that is not one."""
        sats(Money(new.currency, new.price_minor))
        now = self.now()
        expires_at = now + timedelta(seconds=new.expires_in_seconds)
        invoice = Invoice(
            id=token(self._chance, 80),
            checkout_id=token(self._chance, 130),
            attempt_id=new.attempt_id,
            currency=new.currency,
            price_minor=new.price_minor,
            description=new.description,
            item_code=new.item_code,
            return_url=new.return_url,
            created_at=now,
            expires_at=expires_at,
            monitor_until=expires_at + timedelta(seconds=new.monitor_seconds),
            customer_id=(new.customer_id or token(self._chance, 80)) if new.may_save_card else None,
        )
        self.book.save(invoice)
        return invoice

    def invoice(self, invoice_id: str) -> Invoice:
        return self.change(invoice_id, lambda invoice, _moment: (invoice, ()))

    def checkout(self, checkout_id: str) -> Invoice:
        found = self.book.by_checkout(checkout_id)
        if found is None:
            raise Missing(checkout_id)
        return self.invoice(found.id)

    def change(self, invoice_id: str, accident: Accident) -> Invoice:
        """First what time has done, then the accident; both are told to every webhook, in this order."""
        with self.book.transaction():
            invoice = self.book.by_id(invoice_id)
            if invoice is None:
                raise Missing(invoice_id)
            moment = Moment(self.now(), self._double_spend_seconds)
            invoice = self._write(invoice, by_time(invoice, moment.now), moment.now)
            return self._write(invoice, accident(invoice, moment), moment.now)

    def pay_by_card(self, checkout_id: str, card: Card, *, save: bool) -> Invoice:
        """Paid at once whatever the card; one that does not wait for payment any more stays as it is."""
        invoice = self.checkout(checkout_id)
        if invoice.status is not Status.NEW:
            return invoice
        if save and invoice.customer_id is not None:
            saved = SavedCard(
                id=token(self._chance, 80),
                customer_id=invoice.customer_id,
                card=card.name,
                source_attempt_id=invoice.attempt_id,
                saved_at=self.now(),
            )
            self.book.save_card(saved)
        return self.change(invoice.id, pay)

    def cards_of(self, customer_id: str) -> list[SavedCard]:
        """The newest first; one that was saved this very moment is not among them yet."""
        latest = self.now() - SHOWN_AFTER
        return [saved for saved in self.book.cards_of(customer_id) if saved.saved_at <= latest]

    def charge(self, invoice_id: str, card_id: str) -> Invoice:
        """As often as it is asked to. Raises Missing, Declined; BadRequest for somebody else's card."""
        saved = self.book.card(card_id)
        if saved is None:
            raise Missing(card_id)
        if self.invoice(invoice_id).customer_id != saved.customer_id:
            raise BadRequest("This card was not saved by the customer of this invoice.")
        if saved.declines(self.now()):
            raise Declined(f"{CARDS[saved.card].label} was declined.")
        return self.change(invoice_id, charged(CARDS[saved.card]))

    def tick(self) -> None:
        """What time has done to the invoices that nobody looked at."""
        now = self.now()
        for invoice in self.book.watched():
            if by_time(invoice, now) != (invoice, ()):
                self.invoice(invoice.id)

    def by_attempt(self, attempt_id: str, skip: int, take: int) -> list[Invoice]:
        return self._fresh(self.book.by_attempt(attempt_id, skip, take))

    def created_since(self, since: datetime, skip: int, take: int) -> list[Invoice]:
        return self._fresh(self.book.created_since(since, skip, take))

    def add_webhook(self, url: str) -> Webhook:
        """Idempotent: the same URL gets the same id and secret again."""
        return self.book.add_webhook(Webhook(token(self._chance, 80), url, token(self._chance, 160)))

    def _fresh(self, found: Iterable[Invoice]) -> list[Invoice]:
        return [self.invoice(invoice.id) for invoice in found]

    def _write(self, before: Invoice, change: Change, now: datetime) -> Invoice:
        after, events = change
        if after != before:
            self.book.save(after)
        for event in events:
            for webhook in self.book.webhooks():
                self.book.tell(token(self._chance, 80), webhook.id, after.id, event, now)
            self.news.set()
        return after
