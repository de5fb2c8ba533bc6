"""Cards of play money: each pays the first time, and its name says what becomes of it when it was saved."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import Struct

from providers.sandbox.accidents import Accident, Moment
from providers.sandbox.invoice import Change, Invoice, Payment, received

SHOWN_AFTER = timedelta(seconds=2)
"""How long a card that was saved is missing in the list: a real provider's lags behind its own webhook too."""

BANK_TAKES = timedelta(seconds=10)
"""From "processing" to the bank's last word."""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    last_digits: str
    title: str
    lives: timedelta = timedelta(days=1095)
    is_declined: bool = False
    is_slow: bool = False
    is_taken_back: bool = False

    @property
    def label(self) -> str:
        return f"card •••• {self.last_digits}"


CARDS = {
    card.name: card
    for card in (
        Card("works", "4242", "works every time"),
        Card("declines", "0341", "is declined at the next charge", is_declined=True),
        Card("expires", "0069", "expires in ten days", lives=timedelta(days=10)),
        Card("slow", "3220", "takes ten seconds at the next charge", is_slow=True),
        Card("taken-back", "0259", "the bank takes the next charge back", is_taken_back=True),
    )
}


class SavedCard(Struct, frozen=True, kw_only=True):
    id: str
    customer_id: str
    card: str  # a name of CARDS
    source_attempt_id: str
    saved_at: datetime

    @property
    def expires_at(self) -> datetime:
        return self.saved_at + CARDS[self.card].lives

    def declines(self, now: datetime) -> bool:
        return CARDS[self.card].is_declined or self.expires_at <= now


def charged(card: Card) -> Accident:
    """Takes the whole price from whoever asks, however often: an invoice that is paid is paid once more.

    Nothing is known of Zaprite guarding against it, so the wallet does not either; the shop has to.
    """

    def charge(invoice: Invoice, moment: Moment) -> Change:
        last_word = moment.now + BANK_TAKES
        payment = Payment(
            minor=invoice.due_minor or invoice.price_minor,
            seen_at=moment.now,
            confirmed=not (card.is_slow or card.is_taken_back),
            confirmed_at=last_word if card.is_slow else None,
            replaced_at=last_word if card.is_taken_back else None,
        )
        return received(invoice, payment)

    return charge
