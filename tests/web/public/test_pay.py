"""The stable address to pay, as its subscriber and a mail scanner use it."""

import re
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from keysat.checkout import operate
from keysat.checkout.pay_link import pay_token
from keysat.checkout.subscribed import cancel, pause, resume
from keysat.checkout.tables import Order, OrderStatus
from keysat.licenses.issue import suspend
from keysat.payments.provider import Rail
from tests.checkout.counter import PUBLIC_URL
from tests.conftest import TESTER
from tests.fakes.btcpay import Accident
from tests.web.public.subscribing import pay_link, plain, shown, subscribed, subscription
from tests.web.selling import Front

pytestmark = pytest.mark.once

REFRESH = '<noscript><meta http-equiv="refresh"'
"""A browser without JavaScript asks again."""
STATE = re.compile(r'data-state="([^"]*)"')
"""By which the script tells that there is something new."""


async def pressed(front: Front, link: str, known: str = "") -> httpx.Response:
    """As a browser on plain http sends it from a page without a referrer, which may have been open for long."""
    return await front.http.post(link, data={"known": known}, headers={"Origin": "null"})


async def dropped(front: Front, link: str, order: Order) -> Order:
    """An order for the next period that was open, until the seller paused the subscription for a moment."""
    await pressed(front, link)
    renewal, row = await front.order(), await subscription(front, order)
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await pause(work, row.id)
        await resume(work, row.id)
    return renewal


async def test_looking_opens_nothing_and_the_button_leads_to_the_one_order(front: Front):
    order, key = await subscribed(front)
    link = await pay_link(front, order)
    early = await front.http.get(link)
    assert "App Team is paid through 21 Oct 2026" in plain(early)
    assert "Next payment: $12.00" in plain(early)
    refused = await pressed(front, link)
    assert (refused.status_code, "Nothing is to be paid now" in plain(refused)) == (409, True)
    await front.counter.travel(days=32)
    for _ in range(3):  # a mail scanner
        await front.http.get(link)
    page = await front.http.get(link)
    assert "The key works until 28 Oct 2026" in plain(page)
    assert "$12.00 about 24,000 sats pays through 21 Nov 2026" in plain(page)
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert await front.orders() == 1
    first = await pressed(front, link)
    assert first.status_code == 303
    assert (await pressed(front, link)).headers["location"] == first.headers["location"]
    assert "This price stands for another 15 minutes" in plain(await front.http.get(link))
    assert await front.orders() == 2
    await front.counter.travel(minutes=20)
    assert "This price stands" not in plain(await front.http.get(link))
    again = await pressed(front, link)
    assert again.headers["location"] != first.headers["location"]
    renewal = await front.order()
    await front.counter.pay(renewal, confirmed=False)
    seen = await front.http.get(link)
    assert "do not pay again" in plain(seen)
    assert "<form" not in seen.text
    assert renewal.invoice_id not in seen.text  # it would open the key
    assert "do not pay again" in plain(await pressed(front, link))
    await front.counter.pay(renewal)
    back = await front.http.get(link)
    assert "Paid. Thank you App Team is paid through 21 Nov 2026. Your app learns of it" in plain(back)
    assert (key in back.text, "LIC1-" in back.text, "data-moving" in back.text) == (False, False, False)
    thanks = plain(await front.thanks(renewal))
    assert "App Team goes on" in thanks
    assert "Next payment $12.00 by 21 Nov 2026" in thanks
    assert key not in thanks  # it is signed anew


async def test_the_checkout_leads_back_to_it_and_it_sees_at_once_what_was_paid(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=32)
    await pressed(front, link)
    await front.counter.travel(seconds=10)
    invoice = list(front.counter.fake.invoices.values())[-1]
    assert invoice.checkout["redirectURL"] == f"{PUBLIC_URL}{link}"
    await front.counter.fake.pay(invoice.id, rail=Rail.LIGHTNING)  # nobody has told us
    assert "Paid. Thank you" in plain(await front.http.get(link))
    await front.counter.travel(days=2)
    assert "Nothing is to be paid" in plain(await front.http.get(link))


async def test_who_comes_back_before_we_know_of_the_money_is_not_left_before_a_button_that_says_pay(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=32)
    assert REFRESH not in (await front.http.get(link)).text
    await pressed(front, link)
    assert "Pay $12.00" in plain(await front.http.get(link))  # and so the provider was just asked
    invoice = list(front.counter.fake.invoices.values())[-1]
    await front.counter.fake.pay(invoice.id, rail=Rail.LIGHTNING)
    back = await front.http.get(link)
    assert ("Pay $12.00" in plain(back), f'{REFRESH} content="5">' in back.text) == (True, True)
    await front.counter.travel(seconds=5)
    paid = await front.http.get(link)
    assert ("Paid. Thank you" in plain(paid), REFRESH in paid.text) == (True, False)


async def test_money_that_comes_late_or_unseen_is_not_asked_for_again(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=32)
    await pressed(front, link)
    renewal, counter = await front.order(), front.counter
    counter.deaf = True
    counter.clock.move(renewal.expires_at)
    counter.fake.fail_next(Accident.BUSY)
    assert "Wait here if you have paid" in plain(await front.http.get(link))
    counter.clock.move(counter.now + timedelta(seconds=20))
    over = await front.http.get(link)
    told = "Wait here" in plain(over), "This price stands" in plain(over), REFRESH in over.text
    assert told == (False, False, True)
    counter.clock.move(counter.now + timedelta(seconds=20))
    await counter.fake.pay(await counter.invoice_of(renewal), confirmed=False)
    pressed_late = await pressed(front, link)  # in another tab, where nobody had looked since
    assert ("do not pay again" in plain(pressed_late), REFRESH in pressed_late.text) == (True, True)
    assert "do not pay again" in plain(await front.http.get(link))
    await counter.fake.confirm(await counter.invoice_of(renewal))
    counter.clock.move(counter.now + timedelta(seconds=20))
    assert "Paid. Thank you" in plain(await front.http.get(link))
    assert await front.orders() == 2


@pytest.mark.parametrize("is_marked", [True, False])
async def test_late_money_that_never_counts_keeps_nobody_from_paying(front: Front, is_marked: bool):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=32)
    await pressed(front, link)
    renewal, counter = await front.order(), front.counter
    await counter.travel(minutes=20)
    await counter.pay(renewal, confirmed=False)
    await counter.work_off()
    assert "do not pay again" in plain(await front.http.get(link))
    if is_marked:  # by the seller, who gave it back
        await counter.fake.mark(await counter.invoice_of(renewal), "Invalid")
        await counter.work_off()
    else:  # and it was never confirmed
        counter.deaf = True
        counter.clock.move((await counter.order(renewal.id)).watch_until + timedelta(seconds=1))
    page = await front.http.get(link)
    assert ("do not pay again" in plain(page), "Pay $12.00" in plain(page)) == (False, True)
    answer = await pressed(front, link)
    assert (answer.status_code, await front.orders()) == (303, 3), plain(answer)


async def test_money_for_an_earlier_request_is_told_before_who_cannot_wait_is_asked_again(front: Front):
    order, key = await subscribed(front)
    link, counter = await pay_link(front, order), front.counter
    await counter.travel(days=32)
    earlier = await dropped(front, link, order)
    over = plain(await front.thanks(earlier))
    assert ("Start again" in over, "still counts" in over) == (True, False), "it pays no period any more"
    page = await front.http.get(link)
    assert "Pay $12.00" in plain(page)
    states = [STATE.findall(page.text)]
    await counter.pay(earlier)
    assert (await counter.order(earlier.id)).status is OrderStatus.REVIEW
    held = f"$12.00 that you paid for an earlier request (reference {earlier.support_reference}) waits for the seller"
    surprised = await pressed(front, link)  # in a tab that knew nothing of it
    assert (surprised.status_code, held in plain(surprised), await front.orders()) == (200, True, 2)
    page = await front.http.get(link)
    states.append(STATE.findall(page.text))
    assert (held in plain(page), "Pay $12.00 all the same" in plain(page)) == (True, True)
    assert (earlier.invoice_id in page.text, len({state for [state] in states})) == (False, 2)
    license = plain(await shown(front, key))
    assert license.index(held) < license.index("Pay $12.00")
    review = plain(await front.thanks(earlier))
    assert ("need not pay again" in review, "the seller counts it for a period, or gives it back" in review) == (
        False,
        True,
    )

    again = await front.pay(link)
    assert (again.status_code, await front.orders()) == (303, 3)
    async with front.shop.store.work(counter.now, TESTER) as work:
        await operate.accept(work, earlier.id)
    assert ("Paid. Thank you" in (paid := plain(await front.http.get(link))), held in paid) == (True, False)


async def test_money_that_is_on_its_way_for_an_earlier_request_leaves_no_button(front: Front):
    order, key = await subscribed(front)
    link, counter = await pay_link(front, order), front.counter
    await counter.travel(days=32)
    earlier = await dropped(front, link, order)
    await counter.travel(minutes=20)
    await counter.pay(earlier, confirmed=False)
    await counter.work_off()
    page = await front.http.get(link)
    told = "was seen for an earlier request" in plain(page), "<form" in page.text, REFRESH in page.text
    assert told == (True, False, True)
    assert "do not pay again" in plain(await pressed(front, link, earlier.support_reference))
    license = await shown(front, key)
    assert ("do not pay again" in plain(license), link in license.text) == (True, False)
    assert "counts no more, so the seller decides about it" in plain(await front.thanks(earlier))
    counter.deaf = True
    await counter.fake.confirm(await counter.invoice_of(earlier))
    counter.clock.move(counter.now + timedelta(seconds=20))
    assert "waits for the seller" in plain(await front.http.get(link)), "who waits there makes us look at it too"
    async with front.shop.store.work(counter.now, TESTER) as work:
        await operate.refuse(work, earlier.id)
    page = plain(await front.http.get(link))
    assert ("waits for the seller" in page, "Pay $12.00" in page, await front.orders()) == (False, True, 2)


async def test_a_part_that_came_is_told_with_what_is_missing(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=32)
    await pressed(front, link)
    states = [STATE.findall((await front.http.get(link)).text)]
    await front.counter.pay(await front.order(), percent=50)
    states.append(STATE.findall((await front.http.get(link)).text))
    page = plain(await front.http.get(link))
    assert "$6.00 has arrived, $6.00 is still missing: pay it on the same page" in page
    assert "Pay the missing $6.00" in page
    await front.counter.travel(minutes=20)
    last = await front.http.get(link)
    page = plain(last)
    assert "$6.00 has arrived for a request that is over" in page
    states.append(STATE.findall(last.text))
    assert len({state for [state] in states}) == 3, "or the script that waits would not show it"
    assert "Pay $12.00" in page
    renewal = await front.order()
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        (await work.get(Order, renewal.id)).status = OrderStatus.REVIEW
    review = await front.http.get(link)
    assert f"name the reference {renewal.support_reference}" in plain(review)
    assert "<form" not in review.text


async def test_after_a_lapse_a_new_period_begins_on_the_day_it_is_paid(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=50)
    page = await front.http.get(link)
    assert "A new period begins today" in plain(page)
    assert "pays through 10 Dec 2026" in plain(page)
    await pressed(front, link)
    await front.counter.pay(await front.order())
    assert "App Team is paid through 10 Dec 2026" in plain(await front.http.get(link))


async def test_an_expired_renewal_starts_again_at_the_same_address(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    await front.counter.travel(days=32)
    await pressed(front, link)
    renewal = await front.order()
    await front.counter.travel(minutes=20)
    assert f'href="{link}"' in (await front.thanks(renewal)).text


async def test_who_pays_nothing_is_told_why(front: Front):
    order, _ = await subscribed(front)
    link, row = await pay_link(front, order), await subscription(front, order)
    assert order.license_id is not None
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await cancel(work, row.id, reason=None, at_period_end=True)
    assert "App Team is cancelled for 21 Oct 2026" in plain(await front.http.get(link))
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await cancel(work, row.id, reason=None)
    gone = await front.http.get(link)
    assert "App Team was cancelled and does not renew. The key works until 28 Oct 2026" in plain(gone)
    assert "<form" not in gone.text
    refused = await pressed(front, link)
    assert (refused.status_code, "does not renew any more" in plain(refused)) == (409, True)
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await suspend(work, order.license_id, "asked for it")
    assert "The seller has suspended the license" in plain(await front.http.get(link))


async def test_a_paused_one_is_not_billed(front: Front):
    order, _ = await subscribed(front)
    link = await pay_link(front, order)
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await pause(work, (await subscription(front, order)).id)
    await front.counter.travel(days=60)
    assert "App Team is paused by the seller, and nothing is billed meanwhile" in plain(await front.http.get(link))


async def test_who_asks_too_often_is_not_told_that_the_address_is_wrong_and_asked_for_again(front: Front):
    link = await pay_link(front, (await subscribed(front))[0])
    answers = [await front.http.get(link) for _ in range(61)]
    assert {answer.status_code for answer in answers[:-1]} == {200}
    busy = answers[-1]
    assert (busy.status_code, "There is no such page" in busy.text) == (429, False)
    assert f'<meta http-equiv="refresh" content="{busy.headers["retry-after"]}">' in busy.text
    assert "http-equiv" not in (await pressed(front, link)).text


async def test_an_address_that_is_none_says_so_and_is_counted(front: Front):
    wrong = f"/pay/{pay_token(front.shop.vault, UUID(int=7))}"
    for link in (wrong, wrong[:-1], "/pay/x"):
        for answer in (await front.http.get(link), await pressed(front, link)):
            assert answer.status_code == 404
            assert "There is no such page to pay" in answer.text
            assert answer.headers["referrer-policy"] == "no-referrer"
    assert {(await front.http.get(wrong)).status_code for _ in range(54)} == {404}
    assert (await front.http.get(wrong)).status_code == 429
