import asyncio

import pytest
from sqlalchemy import func, select

from keysat.customers import accounts, invariants
from keysat.customers.tables import Customer, CustomerId
from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, NotFound
from tests.conftest import NOON, TESTER


async def remembered(store: Store, email: str | None, note: str | None = None) -> CustomerId | None:
    async with store.work(NOON, TESTER) as work:
        return await accounts.remember(work, email, note)


async def test_one_address_is_one_customer_however_it_is_typed(store: Store):
    first = await remembered(store, "Ada@Example.com", "first")
    assert await remembered(store, "  ada@EXAMPLE.com ") == first
    async with store.read() as reading:
        found = await accounts.find(reading, "ADA@example.com")
        assert found is not None
        assert (found.id, found.email, found.note) == (first, "Ada@Example.com", "first")
        assert await accounts.customer(reading, found.id) == found
        assert await invariants.broken(reading, NOON) == []


async def note_of(store: Store, email: str) -> str | None:
    async with store.read() as reading:
        found = await accounts.find(reading, email)
    assert found is not None
    return found.note


async def test_what_somebody_says_fills_in_what_is_missing_and_replaces_nothing(store: Store):
    await remembered(store, "ada@example.com")
    await remembered(store, "ada@example.com", "first")
    await remembered(store, "ada@example.com", "of a stranger")
    assert await note_of(store, "ada@example.com") == "first"


async def test_two_purchases_at_once_remember_one_customer(store: Store):
    ids = await asyncio.gather(*(remembered(store, "ada@example.com") for _ in range(8)))
    assert len(set(ids)) == 1
    async with store.read() as reading:
        assert await reading.session.scalar(select(func.count()).select_from(Customer)) == 1


async def test_who_says_nothing_stays_anonymous(store: Store):
    assert await remembered(store, None) is None
    assert await remembered(store, "  ", "") is None


async def test_a_note_without_an_address_is_kept_and_joins_nobody(store: Store):
    first, second = await remembered(store, None, "no mail"), await remembered(store, None, "no mail")
    assert None not in (first, second)
    assert first != second


async def test_nobody_is_found_by_what_is_no_address(store: Store):
    await remembered(store, "ada@example.com")
    async with store.read() as reading:
        for typed in ("", "ada", "bob@example.com", "ada@example.com\0"):
            assert await accounts.find(reading, typed) is None
        with pytest.raises(NotFound):
            await accounts.customer(reading, CustomerId(accounts.UUID(int=0)))


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+x@bücher.example", "ada+x@xn--bcher-kva.example"),
        ("ada@faß.example", "ada@xn--fa-hia.example"),  # not fass.example: IDNA 2008
        ("\uff21da\uff20\uff45xample.org", "ada@example.org"),
        ("ada@box.local", "ada@box.local"),
        ("ada@hidden.onion", "ada@hidden.onion"),
        ("ada@shop.test", "ada@shop.test"),
        ("e\u0301@example.com", "\u00e9@example.com"),
    ],
)
def test_addresses_are_compared_in_one_form(typed: str, normal: str):
    assert accounts.normal_email(typed) == normal
    assert accounts.normal_email(normal) == normal


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("ada", "must have an @-sign"),
        ("a@b@c.example", "invalid characters: '@'"),
        ("@example.com", "something before"),
        ("ada@", "something after"),
        ("a@b", "needs a dot"),
        ("ada@localhost", "needs a dot"),
        ("a da@example.com", "SPACE"),
        ("ada\n@example.com", "invalid characters"),
        ("ada@exam\0ple.com", "invalid characters"),
        ("ada@example..com", "two periods"),
        ("ada@example.com.", "end with a period"),
        ('"a da"@example.com', "Quoting"),
        ("ada(aunt)@example.com", "invalid characters"),
        ("Ada <ada@example.com>", "display name"),
        ("ada@[192.0.2.1]", "bracketed IP"),
        ("a" * 243 + "@example.com", "too long"),
        ("\u00aa" * 120 + "@" + "\u00fc" * 40 + ".example." + "o" * 63 + "." + "o" * 63, "too long"),
    ],
)
def test_what_cannot_receive_mail_is_refused_with_advice(typed: str, advice: str):
    with pytest.raises(BadRequest, match=advice):
        accounts.normal_email(typed)


def test_a_tag_makes_no_other_mailbox():
    assert accounts.mailbox("ada+trial2@example.com") == accounts.mailbox("ada@example.com") == "ada@example.com"
    assert accounts.mailbox("+x@example.com") == "+x@example.com"


@pytest.mark.once
@pytest.mark.parametrize(("note", "advice"), [("n" * 2001, "Shorten"), ("n\0", "control characters")])
async def test_a_note_has_limits(store: Store, note: str, advice: str):
    with pytest.raises(BadRequest, match=advice):
        await remembered(store, "ada@example.com", note)
