import re
from datetime import timedelta
from pathlib import Path

import pytest

from keysat.catalog import offers
from keysat.catalog.tables import PolicyId
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.store import Store
from keysat.licenses.issue import revoke
from keysat.payments.provider import Rail
from keysat.web.public.cards import BETWEEN
from tests.conftest import TESTER
from tests.web.selling import Front, open_front

pytestmark = pytest.mark.once


async def test_while_nothing_is_paid_the_page_claims_nothing_and_leads_back_to_the_checkout(front: Front):
    checkout = (await front.buy()).headers["location"]
    order = await front.order()
    page = await front.thanks(order)
    assert "Waiting for your payment" in page.text
    assert f'href="{checkout}"' in page.text
    assert '<meta http-equiv="refresh" content="5">' in page.text
    assert "15 minutes" in page.text
    assert order.support_reference in page.text
    assert "LIC1-" not in page.text


async def test_the_page_is_kept_by_nobody_and_tells_nobody_where_it_was(front: Front):
    order = await front.bought()
    for path in ("/thank-you", "/thank-you/key"):
        answer = await front.http.get(path, params={"invoice_id": order.invoice_id})
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
    assert order.invoice_id not in answer.text


async def test_the_buyers_own_page_makes_us_look(front: Front):
    order = await front.bought()
    await front.counter.fake.pay(
        await front.counter.invoice_of(order), percent=100, rail=Rail.LIGHTNING, confirmed=True
    )
    await front.counter.travel(seconds=5)
    page = await front.thanks(order)
    assert "Your license key" in page.text


async def test_a_payment_that_is_seen_is_not_called_paid(front: Front):
    order = await front.bought()
    await front.counter.pay(order, confirmed=False)
    page = (await front.thanks(order)).text
    assert "Payment seen" in page
    assert "LIC1-" not in page


async def test_the_key_can_be_copied_and_downloaded_once_it_is_paid(front: Front):
    order = await front.bought()
    await front.counter.pay(order)
    page = (await front.thanks(order)).text
    key = await front.counter.key(order)
    assert f">{key}</code>" in page
    for words in ("App Pro", "for ever", "3 devices", order.support_reference, "Save it now"):
        assert words in page
    assert "http-equiv" not in page
    file = await front.http.get("/thank-you/key", params={"invoice_id": order.invoice_id})
    assert file.text == f"{key}\n"
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.headers["content-disposition"] == 'attachment; filename="app-license.txt"'


async def test_a_key_that_is_not_there_yet_cannot_be_downloaded(front: Front):
    order = await front.bought()
    answer = await front.http.get("/thank-you/key", params={"invoice_id": order.invoice_id})
    assert answer.status_code == 303, "the page that waits has an address of its own, or it would wait for ever"
    assert answer.headers["location"] == f"/thank-you?invoice_id={order.invoice_id}"


async def test_an_expired_order_says_that_late_money_counts_and_offers_a_new_start(front: Front):
    order = await front.bought()
    await front.counter.travel(minutes=20)
    page = (await front.thanks(order)).text
    assert "This payment has expired" in page
    assert "within 24 hours still counts" in page
    assert 'href="/buy/app?policy=pro"' in page
    front.counter.deaf = True
    await front.counter.fake.pay(await front.counter.invoice_of(order))  # in the wallet, which was still open
    assert "Your license key" not in (await front.thanks(order)).text
    assert '<meta http-equiv="refresh"' in page
    front.counter.clock.move(front.counter.now + timedelta(seconds=20))
    assert "Your license key" in (await front.thanks(order)).text
    assert order.policy_id is not None
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await offers.create(work, PolicyId(order.policy_id), offers.NewOffer(slug="student", price_value=4500))
    other = await front.bought(f"pro{BETWEEN}student")
    await front.counter.travel(days=2)
    over = (await front.thanks(other)).text
    assert ("still counts" in over, '<meta http-equiv="refresh"' in over) == (False, True)
    assert 'href="/buy/app?policy=pro&amp;offer=student"' in over
    await front.counter.travel(days=14)  # and nobody asks the provider any more
    assert '<meta http-equiv="refresh"' not in (await front.thanks(other)).text


async def test_late_money_that_is_seen_is_told(front: Front):
    order = await front.bought()
    await front.counter.travel(minutes=20)
    await front.counter.pay(order, confirmed=False)
    await front.counter.work_off()
    assert "A late payment was seen" in (await front.thanks(order)).text
    front.counter.clock.move(front.counter.now + timedelta(days=2))  # and the network is slow
    page = (await front.thanks(order)).text
    assert ("A late payment was seen" in page, "Start again" in page) == (True, False)
    front.counter.clock.move((await front.counter.order(order.id)).watch_until + timedelta(seconds=1))
    page = (await front.thanks(order)).text  # which nobody looks for any more
    told = "A late payment was seen" in page, "your money is not lost" in page, '<meta http-equiv="refresh"' in page
    assert told == (False, True, False)


async def test_late_money_that_the_seller_calls_invalid_is_not_waited_for(front: Front):
    order = await front.bought()
    await front.counter.travel(minutes=20)
    await front.counter.pay(order, confirmed=False)
    await front.counter.fake.mark(await front.counter.invoice_of(order), "Invalid")
    await front.counter.work_off()
    page = (await front.thanks(order)).text
    told = "The payment did not go through" in page, "Start again" in page, "do not pay again" in page
    assert told == (True, True, False)


async def test_what_was_never_decided_in_the_other_shop_is_not_asked_for_again_and_again(front: Front):
    order = await front.bought()
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        moved = await work.hold(Order, order.id)
        moved.status, moved.watch_until = OrderStatus.REVIEW, front.counter.now - timedelta(days=1)
    page = (await front.thanks(order)).text
    told = "The seller is looking at your payment" in page, '<meta http-equiv="refresh"' in page
    assert told == (True, False), "such an order may be looked at five times an hour"


async def test_too_little_money_is_told_with_the_sum_that_came(front: Front):
    order = await front.bought()
    await front.counter.pay(order, percent=50)
    await front.counter.travel(minutes=20)
    page = (await front.thanks(order)).text
    assert "Too little was paid" in page
    assert "$37.50" in page
    assert order.support_reference in page


async def test_a_part_that_came_in_time_is_told_with_what_is_missing_and_where_to_pay_it(front: Front):
    checkout = (await front.buy()).headers["location"]
    order = await front.order()
    await front.counter.pay(order, percent=50)
    page = (await front.thanks(order)).text
    assert "Part of your payment has arrived" in page
    assert "<strong>$37.50</strong> has arrived, <strong>$37.50</strong> is still missing" in page
    assert "No payment has arrived" not in page
    assert re.search(rf'href="{re.escape(checkout)}">\s*Pay the missing \$37\.50', page)
    assert '<meta http-equiv="refresh"' in page
    await front.counter.pay(order, percent=50)
    paid = (await front.thanks(order)).text
    assert ("Your license key" in paid, '<meta http-equiv="refresh"' in paid) == (True, False)


async def test_a_second_part_changes_the_page_for_the_script_that_waits_too(front: Front):
    order = await front.bought()
    states: set[str] = set()
    for percent in (10, 40):
        await front.counter.pay(order, percent=percent)
        states.update(re.findall(r'data-state="([^"]*)"', (await front.thanks(order)).text))
    assert len(states) == 2


async def test_who_paid_too_much_is_told_how_much_beside_the_key(front: Front):
    order = await front.bought()
    await front.counter.pay(order, percent=110)
    page = (await front.thanks(order)).text
    assert "LIC1-" in page
    assert "<strong>$7.50</strong> more than asked" in page
    assert "The seller has been told" in page


async def test_who_paid_what_was_asked_reads_nothing_of_too_much(front: Front):
    order = await front.bought()
    await front.counter.pay(order)
    assert "more than asked" not in (await front.thanks(order)).text


async def test_the_seller_can_be_written_to_where_the_page_asks_for_it(store: Store, tmp_path: Path):
    async with open_front(store, tmp_path, contact="help@example.org") as front:
        order = await front.bought()
        await front.counter.pay(order, percent=50)
        await front.counter.travel(minutes=20)
        page = (await front.thanks(order)).text
    assert page.count('href="mailto:help@example.org"') == 2, "beside the reference, and in the footer"


async def test_without_a_contact_no_link_leads_nowhere(front: Front):
    page = (await front.thanks(await front.bought())).text
    assert "mailto:" not in page
    assert "Write to the seller" not in page


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (OrderStatus.DRAFT, "Preparing your payment"),
        (OrderStatus.PAID, "Paid. Your key is being made"),
        (OrderStatus.INVALID, "The seller has ended this order without a sale"),
        (OrderStatus.REVIEW, "The seller is looking at your payment"),
    ],
)
async def test_the_rarer_states_have_honest_words_too(front: Front, status: OrderStatus, words: str):
    order = await front.bought()
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        (await work.get(Order, order.id)).status = status
    page = (await front.thanks(order)).text
    assert words in page
    assert "LIC1-" not in page


async def test_a_revoked_license_shows_no_key_and_says_so(front: Front):
    order = await front.bought()
    await front.counter.pay(order)
    order = await front.order()
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        assert order.license_id is not None
        await revoke(work, order.license_id, "refunded")
    page = (await front.thanks(order)).text
    assert "This license is not active" in page
    assert "refunded" not in page
    assert "LIC1-" not in page


@pytest.mark.parametrize("path", ["/thank-you", "/thank-you/key"])
async def test_an_order_nobody_knows_is_a_friendly_404(front: Front, path: str):
    for query in ("", "?invoice_id=", "?invoice_id=unknown", "?invoice_id=" + "x" * 5000):
        answer = await front.http.get(path + query)
        assert answer.status_code == 404
        assert "We cannot find this order" in answer.text
