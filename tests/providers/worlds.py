"""The worlds the one contract suite runs in: a provider, its payer, its clock and its accidents in the test's hands.

To put a provider under contract: write a class that satisfies `World`, and add an `Entry` to `contract.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from keysat.infra.http import HttpClient
from keysat.payments.provider import Provider, Rail


class Ability(StrEnum):
    """What a world can do beyond taking a full payment; a test asks for the worlds that can do what it is about."""

    CONFIRM = "confirm"  # a payment is first seen, later confirmed
    PARTS = "parts"  # too little, too much, in two steps
    LATE = "late"  # money after the expiry
    REPLACE = "replace"  # a seen payment is spent elsewhere
    MARK = "mark"  # somebody at the provider says settled or invalid
    FIAT = "fiat"  # the provider prices fiat itself
    WEBHOOKS = "webhooks"  # it calls us
    SIGNED = "signed"  # we register its webhooks, and they are signed
    ACCIDENTS = "accidents"  # `fail_next` works
    CARDS = "cards"  # it keeps cards, and charges them
    RATES = "rates"  # it knows a price of Bitcoin


class Accident(StrEnum):
    """What befalls the provider's next answer, whatever the question."""

    LOST_BEFORE = "lost_before"  # the request never arrives
    LOST_AFTER = "lost_after"  # carried out, but the answer never arrives
    BUSY = "busy"  # 429, with Retry-After: 7
    BROKEN = "broken"  # 500
    GARBAGE = "garbage"  # 200, and no JSON
    LOCKED_OUT = "locked_out"  # 401


class PlayCard(StrEnum):
    """A card that pays once, and how it answers when it was saved and is charged."""

    WORKS = "works"
    DECLINES = "declines"
    EXPIRES = "expires"  # within two weeks
    SLOW = "slow"  # processing, settled within a minute
    TAKEN_BACK = "taken-back"  # processing, gone within a minute


@dataclass(frozen=True, slots=True)
class Message:
    """A webhook as the provider sent it; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes


class World(Protocol):
    """One account at one provider. Invoices are named by the provider's invoice id."""

    @property
    def provider(self) -> Provider: ...

    @property
    def http(self) -> HttpClient:
        """Reaches this world and nothing else."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """What an operator types to connect, all of it right."""
        ...

    @property
    def webhook_url(self) -> str:
        """Where the test wants to be called; what arrives there is kept in `messages`."""
        ...

    @property
    def messages(self) -> Sequence[Message]: ...

    @property
    def now(self) -> datetime: ...

    async def travel(self, seconds: int) -> None:
        """Let time pass, with all that it does to the invoices, and deliver what is to be told."""
        ...

    async def pay(
        self, invoice_id: str, *, percent: int = 100, rail: Rail = Rail.ONCHAIN, confirmed: bool = True
    ) -> None:
        """A payment of so many percent of the price, now (late when the invoice's time is over), and its messages."""
        ...

    async def pay_by_card(self, invoice_id: str, card: PlayCard) -> None:
        """The whole price, now, on the provider's own page; the buyer lets the card be saved."""
        ...

    async def confirm(self, invoice_id: str) -> None:
        """All payments seen so far get their confirmations."""
        ...

    async def replace(self, invoice_id: str) -> None:
        """All unconfirmed payments are spent elsewhere."""
        ...

    async def mark(self, invoice_id: str, *, settled: bool) -> None:
        """Somebody at the provider says settled, or invalid."""
        ...

    def fail_next(self, accident: Accident) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    abilities: frozenset[Ability]
    open: Callable[[], AbstractAsyncContextManager[World]]
