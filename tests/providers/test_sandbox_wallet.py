"""The wallet's own pages and accidents, as a visitor and as the shop sees them."""

import json
import re
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from keysat.kit.ids import SeededChance
from keysat.kit.money import Money
from keysat.payments.provider import InvoiceRequest, InvoiceSnapshot, PayState, Rejected, Till
from providers.sandbox.book import Book
from providers.sandbox.cards import CARDS
from providers.sandbox.pages import left, written
from providers.sandbox.wallet import Wallet
from tests.conftest import NOON
from tests.providers.world_sandbox import API_KEY, HandClock, SandboxWorld, open_sandbox
from tests.providers.worlds import PlayCard

OLD_WALLET = """
CREATE TABLE invoices (id TEXT PRIMARY KEY, checkout_id TEXT NOT NULL UNIQUE, attempt_id TEXT NOT NULL,
  created_at TEXT NOT NULL, watched INTEGER NOT NULL, body TEXT NOT NULL);
INSERT INTO invoices VALUES ('old', 'page', 'a', '2026-01-15T12:00:00.000000+00:00', 1, '{
  "id": "old", "checkout_id": "page", "attempt_id": "a", "currency": "EUR", "price_minor": 4900, "description": "",
  "item_code": "", "return_url": "http://shop.test/", "created_at": "2026-01-15T12:00:00Z",
  "expires_at": "2026-01-15T12:15:00Z", "monitor_until": "2026-01-16T12:15:00Z", "status": "New", "extra": "None",
  "payments": [{"minor": 900, "seen_at": "2026-01-15T12:00:00Z", "confirmed": true, "replaced_at": null}]}');
"""
RETURN_URL = "http://shop.test/thank-you/o1?t=1"
REQUEST = InvoiceRequest(
    attempt_id="attempt-1",
    price=Money("EUR", 4900),
    description="Tide Charts <Pro>",
    item_code="tide/pro",
    expires_in_seconds=900,
    monitor_seconds=86400,
    return_url=RETURN_URL,
    rails=frozenset(),
    asked_at=NOON,
)


@dataclass(frozen=True)
class Visit:
    """A shop that has made one invoice, and a visitor in front of its checkout page."""

    world: SandboxWorld
    till: Till
    browser: httpx.AsyncClient
    invoice_id: str
    path: str

    async def press(self, button: str, **form: str) -> httpx.Response:
        return await self.browser.post(f"{self.path}/{button}", data=form)

    async def look(self) -> InvoiceSnapshot:
        return await self.till.get_invoice(self.invoice_id)

    async def told(self) -> list[str]:
        """The events that the shop has heard since it last asked."""
        await self.world.travel(0)
        said = [json.loads(message.body)["type"] for message in self.world.messages]
        self.world.shop.messages.clear()
        return said


@pytest.fixture
async def visit() -> AsyncGenerator[Visit, None]:
    async with open_sandbox() as world, world.browser() as browser:
        connection = await world.provider.connect_with(world.fields, "c1", world.http)
        connection = await world.provider.open(connection, world.http).ensure_webhook(world.webhook_url)
        till = world.provider.open(connection, world.http)
        invoice = await till.create_invoice(REQUEST)
        assert invoice.checkout_url is not None
        yield Visit(world, till, browser, invoice.invoice_id, urlsplit(invoice.checkout_url).path)


async def test_pay_settles_at_once_and_leads_back_to_the_shop(visit: Visit):
    answer = await visit.press("pay")
    assert (answer.status_code, answer.headers["location"]) == (303, RETURN_URL)
    seen = await visit.look()
    assert (seen.raw_status, seen.paid, seen.all_confirmed) == ("Settled/None", Money("EUR", 4900), True)
    assert await visit.told() == ["InvoiceReceivedPayment", "InvoiceProcessing", "InvoiceSettled"]


async def test_a_second_press_of_pay_pays_nothing_more(visit: Visit):
    await visit.press("pay")
    await visit.told()
    assert (await visit.press("pay")).headers["location"] == RETURN_URL
    assert (await visit.look()).paid == Money("EUR", 4900)
    assert await visit.told() == []


async def test_half_is_partial_until_pay_brings_the_rest(visit: Visit):
    answer = await visit.press("underpay")
    assert (answer.status_code, answer.headers["location"]) == (303, visit.path)
    seen = await visit.look()
    assert (seen.raw_status, seen.paid, seen.due_sats) == ("New/PaidPartial", Money("EUR", 2450), 49_000)
    assert await visit.told() == ["InvoiceReceivedPayment"]
    await visit.press("pay")
    seen = await visit.look()
    assert (seen.raw_status, seen.paid) == ("Settled/None", Money("EUR", 4900))


async def test_too_much_settles_with_a_surplus(visit: Visit):
    assert (await visit.press("overpay")).headers["location"] == RETURN_URL
    seen = await visit.look()
    assert (seen.raw_status, seen.paid, seen.over) == ("Settled/PaidOver", Money("EUR", 5390), True)


async def test_expire_keeps_what_has_arrived(visit: Visit):
    await visit.press("underpay")
    await visit.told()
    await visit.press("expire")
    assert (await visit.look()).raw_status == "Expired/PaidPartial"
    assert await visit.told() == ["InvoiceExpired"]


async def test_pay_late_expires_first_and_then_brings_all_of_it_confirmed(visit: Visit):
    assert (await visit.press("pay-late")).headers["location"] == visit.path
    seen = await visit.look()
    assert (seen.raw_status, seen.paid, seen.all_confirmed) == ("Expired/PaidLate", Money("EUR", 4900), True)
    assert seen.last_payment_at is not None
    assert seen.expires_at is not None
    assert seen.last_payment_at >= seen.expires_at
    assert await visit.told() == ["InvoiceExpired", "InvoiceReceivedPayment", "InvoicePaidAfterExpiration"]


async def test_pay_after_the_expiry_comes_late_too(visit: Visit):
    await visit.world.travel(901)
    assert await visit.told() == ["InvoiceExpired"]
    assert (await visit.press("pay")).headers["location"] == visit.path
    assert (await visit.look()).raw_status == "Expired/PaidLate"
    assert await visit.told() == ["InvoiceReceivedPayment", "InvoicePaidAfterExpiration"]


async def test_a_double_spend_is_seen_then_gone_and_nobody_is_told(visit: Visit):
    await visit.press("double-spend")
    seen = await visit.look()
    assert (seen.raw_status, seen.all_confirmed) == ("Processing/None", False)
    assert await visit.told() == ["InvoiceReceivedPayment", "InvoiceProcessing"]
    await visit.world.travel(5)
    seen = await visit.look()
    assert (seen.raw_status, seen.paid) == ("New/None", Money("EUR", 0))
    assert await visit.told() == []


async def test_a_double_spend_past_the_expiry_is_expired_when_it_is_gone(visit: Visit):
    await visit.world.travel(897)
    await visit.press("double-spend")
    await visit.world.travel(4)
    assert (await visit.look()).state is PayState.PROCESSING
    await visit.told()
    await visit.world.travel(1)
    assert (await visit.look()).raw_status == "Expired/None"
    assert await visit.told() == ["InvoiceExpired"]


async def test_a_late_double_spend_stays_paid_late_without_money(visit: Visit):
    await visit.press("expire")
    await visit.press("double-spend")
    assert (await visit.look()).paid == Money("EUR", 4900)
    await visit.world.travel(5)
    seen = await visit.look()
    assert (seen.raw_status, seen.paid, seen.all_confirmed) == ("Expired/PaidLate", Money("EUR", 0), False)


async def test_an_on_chain_payment_waits_for_its_block(visit: Visit):
    await visit.press("pay-onchain")
    await visit.world.travel(1000)
    assert (await visit.look()).state is PayState.PROCESSING
    await visit.press("confirm")
    assert (await visit.look()).raw_status == "Settled/None"


async def test_a_payment_that_is_never_confirmed_becomes_invalid(visit: Visit):
    await visit.press("pay-onchain")
    await visit.told()
    await visit.world.travel(900 + 86400)
    assert (await visit.look()).raw_status == "Invalid/None"
    assert await visit.told() == ["InvoiceInvalid"]


async def test_the_shopkeeper_can_say_so_by_hand(visit: Visit):
    await visit.press("mark-settled")
    seen = await visit.look()
    assert (seen.raw_status, seen.marked_by_hand, seen.paid) == ("Settled/Marked", True, Money("EUR", 0))
    await visit.press("mark-invalid")
    assert (await visit.look()).raw_status == "Invalid/Marked"


@pytest.mark.parametrize(
    ("pressed", "offered"),
    [
        (None, {"mark-settled", "mark-invalid"}),
        ("pay", set()),
        ("mark-settled", {"mark-invalid"}),
        ("mark-invalid", {"mark-settled"}),
    ],
)
async def test_the_shopkeeper_is_offered_only_what_can_still_be_marked(
    visit: Visit, pressed: str | None, offered: set[str]
):
    if pressed is not None:
        await visit.press(pressed)
    page = (await visit.browser.get(visit.path)).text
    assert set(re.findall(r"/(mark-[a-z]+)\"", page)) == offered


@pytest.mark.parametrize(
    ("button", "title"),
    [
        ("pay", "Paid"),
        ("underpay", "Part of it has arrived"),
        ("overpay", "Paid, and more than asked"),
        ("pay-late", "Paid too late"),
        ("expire", "Expired"),
        ("double-spend", "Seen, not confirmed"),
        ("pay-onchain", "Seen, not confirmed"),
        ("mark-settled", "Marked as paid by hand"),
        ("mark-invalid", "Marked as invalid by hand"),
    ],
)
async def test_the_page_says_in_words_what_has_happened(visit: Visit, button: str, title: str):
    assert "<h2>Waiting for your payment</h2>" in (await visit.browser.get(visit.path)).text
    await visit.press(button)
    assert f"<h2>{title}</h2>" in (await visit.browser.get(visit.path)).text


async def test_the_page_shows_amount_time_code_and_a_way_back(visit: Visit):
    page = (await visit.browser.get(visit.path)).text
    for part in ("49.00 EUR", "98\N{NARROW NO-BREAK SPACE}000 sats", "15 min", 'class="qr"', "Play money", RETURN_URL):
        assert part in page
    assert "Tide Charts &lt;Pro&gt;" in page
    assert "<script" not in page


async def test_the_page_asks_nothing_of_anybody_else(visit: Visit):
    policy = (await visit.browser.get(visit.path)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://shop.test;" in policy
    assert "unsafe" not in policy


async def test_a_press_needs_no_body_and_takes_any(visit: Visit):
    assert (await visit.browser.post(f"{visit.path}/underpay")).status_code == 303
    assert (await visit.press("underpay", csrf="x")).status_code == 303
    strange = await visit.browser.post(
        f"{visit.path}/pay", content=b"{not json", headers={"content-type": "application/json", "origin": "null"}
    )
    assert strange.status_code == 303


async def test_a_card_pays_and_is_saved_only_where_the_shop_offers_it(visit: Visit):
    assert 'name="save"' not in (await visit.browser.get(visit.path)).text
    assert (await visit.press("pay-card", card="works", save="yes")).headers["location"] == RETURN_URL
    seen = await visit.look()
    assert (seen.raw_status, seen.paid, seen.customer_ref) == ("Settled/None", Money("EUR", 4900), None)
    assert "pay-card" not in (await visit.browser.get(visit.path)).text
    assert (await visit.press("pay-card")).headers["location"] == RETURN_URL
    assert (await visit.look()).paid == Money("EUR", 4900)


async def test_a_card_is_saved_when_the_buyer_ticks_it(visit: Visit):
    for ticked, kept in (({}, []), ({"save": "yes"}, ["card •••• 0341"])):
        invoice = await visit.till.create_invoice(replace(REQUEST, may_save_card=True))
        assert invoice.customer_ref is not None
        path = urlsplit(invoice.checkout_url or "").path
        page = (await visit.browser.get(path)).text
        assert set(re.findall(r'<option value="([a-z-]+)"', page)) == {*PlayCard}
        assert 'name="save"' in page
        await visit.browser.post(f"{path}/pay-card", data={"card": "declines", **ticked})
        await visit.world.travel(2)
        assert [one.label for one in await visit.till.list_profiles(invoice.customer_ref)] == kept


async def test_a_card_cannot_pay_what_is_over_and_must_be_one_of_ours(visit: Visit):
    assert (await visit.press("pay-card", card="stolen")).status_code == 400
    await visit.press("expire")
    assert (await visit.press("pay-card")).headers["location"] == visit.path
    assert (await visit.look()).raw_status == "Expired/None"


async def test_unknown_pages_and_buttons_are_not_found(visit: Visit):
    assert (await visit.browser.get("/checkout/nothing")).status_code == 404
    assert (await visit.browser.post("/checkout/nothing/pay")).status_code == 404
    assert (await visit.press("refund")).status_code == 404


@pytest.mark.parametrize("path", ["/api/health", "/api/invoices?attempt=a", "/api/invoices/x"])
async def test_the_api_answers_only_to_its_key(visit: Visit, path: str):
    assert (await visit.browser.get(path)).status_code == 401
    wrong = {"authorization": f"Bearer {API_KEY}x"}
    assert (await visit.browser.get(path, headers=wrong)).status_code == 401


async def test_what_is_no_money_or_no_way_back_is_refused(visit: Visit):
    with pytest.raises(Rejected):
        await visit.till.create_invoice(replace(REQUEST, return_url="javascript:alert(1)"))
    with pytest.raises(Rejected, match=r"refuses this: [A-Z0-9][^{}]+$"):
        await visit.till.create_invoice(replace(REQUEST, price=Money("EUR", 2**53 - 1)))


async def test_a_shop_that_is_down_hears_it_later_and_in_order(visit: Visit):
    visit.world.shop.answers = [0, 503, 0, 500]
    await visit.press("pay")
    for wait in (0, 1, 5, 30):
        await visit.world.travel(wait)
        assert all(json.loads(message.body)["type"] == "InvoiceReceivedPayment" for message in visit.world.messages)
    visit.world.shop.messages.clear()
    await visit.world.travel(299)
    assert visit.world.messages == []
    await visit.world.travel(1)
    first, *later = [json.loads(message.body) for message in visit.world.messages]
    assert first["type"] == "InvoiceReceivedPayment"
    assert first["isRedelivery"] is True
    assert first["deliveryId"] != first["originalDeliveryId"]
    assert [one["type"] for one in later] == ["InvoiceProcessing", "InvoiceSettled"]
    assert all(one["deliveryId"] == one["originalDeliveryId"] and not one["isRedelivery"] for one in later)


async def test_a_refusal_is_final_and_holds_nothing_up(visit: Visit):
    visit.world.shop.answers = [401]
    await visit.press("pay")
    assert await visit.told() == ["InvoiceReceivedPayment", "InvoiceProcessing", "InvoiceSettled"]


async def test_a_webhook_registered_twice_keeps_its_secret(visit: Visit):
    before, after = [await visit.till.ensure_webhook(visit.world.webhook_url) for _ in range(2)]
    assert before.secrets == after.secrets
    other = await visit.till.ensure_webhook("http://shop.test/other")
    assert other.secrets != before.secrets


async def test_checkout_links_lead_to_the_public_address():
    async with open_sandbox() as world:
        fields = {**world.fields, "public_url": "https://pay.example/"}
        connection = await world.provider.connect_with(fields, "c1", world.http)
        invoice = await world.provider.open(connection, world.http).create_invoice(REQUEST)
        assert (invoice.checkout_url or "").startswith("https://pay.example/checkout/")


@pytest.mark.parametrize("fields", [{"url": "wallet.test"}, {"api_key": ""}, {"public_url": "javascript:x"}])
async def test_fields_that_cannot_be_right_are_refused_before_the_wallet_is_asked(fields: dict[str, str]):
    async with open_sandbox() as world:
        with pytest.raises(Rejected):
            await world.provider.connect_with({**world.fields, **fields}, "c1", world.http)


def test_the_wallet_remembers_across_a_restart(tmp_path: Path):
    ids: set[str] = set()
    for _ in range(2):
        book = Book(tmp_path / "wallet.db")
        ids.add(Wallet(book, HandClock(), SeededChance(len(ids))).id)
        book.close()
    assert len(ids) == 1


def test_a_wallet_from_before_there_were_cards_goes_on(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "wallet.db")) as old:
        old.executescript(OLD_WALLET)
    book = Book(tmp_path / "wallet.db")
    wallet = Wallet(book, HandClock(), SeededChance(1))
    assert wallet.pay_by_card("page", CARDS["works"], save=True).status == "Settled"
    assert wallet.cards_of("nobody") == []
    book.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0, "0 s"), (59, "59 s"), (860, "14 min 20 s"), (3600, "1 h"), (97200, "1 day 3 h")],
)
def test_the_time_left_is_told_in_two_units(seconds: int, text: str):
    assert left(timedelta(seconds=seconds)) == text


def test_amounts_are_written_with_thin_groups():
    assert written(Money("EUR", 123456789)) == "1\u202f234\u202f567.89 EUR"
    assert written(Money("SAT", 21000)) == "21\u202f000 sats"
