"""The buyer's own page of a license, as a browser without JavaScript uses it."""

import re
from datetime import timedelta
from uuid import UUID

import pytest

from keysat.catalog import products
from keysat.checkout import operate
from keysat.checkout.change.draft import Asker
from keysat.checkout.change.plan import plan
from keysat.checkout.change.quote import Wanted
from keysat.checkout.change.tables import ChangedBy
from keysat.checkout.tables import Purpose
from keysat.kit.licensekey import parse
from keysat.licenses.issue import replace_key, revoke, suspend
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from keysat.web.public.holding import State, state_of
from tests.conftest import NOON, TESTER
from tests.web.public.subscribing import paid, plain, shown, subscribed, subscription
from tests.web.selling import FORM, Front

pytestmark = pytest.mark.once

DAY = timedelta(days=1)


async def test_a_key_shows_how_its_license_stands(front: Front):
    assert 'name="license_key"' in (await front.http.get("/license")).text
    _, key = await subscribed(front)
    page = await shown(front, f"  {key}\n")
    assert page.status_code == 200
    assert "App Team Active. Paid through 21 Oct 2026" in plain(page)
    assert "Next payment $12.00 about 24,000 sats by 21 Oct 2026" in plain(page)
    assert f">{key}</code>" in page.text
    assert "no, you pay each time" in page.text
    assert 'href="/pay/' not in page.text  # nothing is to be paid
    assert page.headers["cache-control"] == "no-store"
    file = await shown(front, key, act="download")
    assert (file.text, file.headers["content-type"]) == (f"{key}\n", "text/plain; charset=utf-8")
    assert 'filename="app-license.txt"' in file.headers["content-disposition"]
    foreign = await front.http.post("/license", data={"license_key": key}, headers={"Origin": "http://evil.test"})
    assert foreign.status_code == 403


async def test_the_page_follows_a_subscription_into_its_grace_and_out_of_it(front: Front):
    _, key = await subscribed(front)
    await front.counter.travel(days=32)
    due = await shown(front, key)
    assert "Payment is due. It was paid through 21 Oct 2026" in plain(due)
    assert "The key goes on working until 28 Oct 2026" in plain(due)
    assert re.search(r'href="/pay/[a-z2-7]{52}">Pay \$12\.00', due.text)
    await front.counter.travel(days=10)
    over = await shown(front, key)
    assert "Lapsed. It was paid through 21 Oct 2026, and stopped on 28 Oct 2026" in plain(over)
    assert "It does not work at the moment" in plain(over)
    assert 'href="/pay/' in over.text
    assert "Upgrade" not in plain(over)  # it is renewed first


async def test_a_seat_is_released_by_the_buyer_and_only_from_the_own_license(front: Front):
    _, key = await subscribed(front)
    for name in ("ada's <laptop>", "old-desktop"):
        body = {"key": key, "fingerprint": name, "hostname": name, "platform": "linux"}
        assert (await front.http.post("/v1/machines/activate", json=body)).json()["ok"]
    page = await shown(front, key)
    assert "2 of 3 devices in use" in plain(page)
    assert "ada&#39;s &lt;laptop&gt;" in page.text
    assert "linux · seen today" in plain(page)
    machines = re.findall(r'name="machine" value="([^"]+)"', page.text)
    await front.counter.travel(minutes=1)
    _, other = await paid(front, await front.bought("max"))
    for wrong in (
        await shown(front, other, act="release", machine=machines[0]),
        await shown(front, key, act="release"),
    ):
        assert wrong.status_code == 404
        assert "This device has no seat any more" in wrong.text
    done = await shown(front, key, act="release", machine=machines[0])
    assert "Another one can take it" in plain(done)
    assert "1 of 3 devices in use" in plain(done)
    assert (await shown(front, key, act="release", machine=machines[0])).status_code == 404


async def test_cancelling_for_the_end_can_be_taken_back_and_for_good_cannot(front: Front):
    order, key = await subscribed(front)
    ending = await shown(front, key, act="end")
    assert "It is paid through 21 Oct 2026 and does not renew" in plain(ending)
    assert "Next payment none" in plain(ending)
    kept = await shown(front, key, act="keep_on")
    assert "It goes on." in plain(kept)
    assert "Next payment $12.00" in plain(kept)
    assert (await shown(front, key, act="keep_on")).status_code == 409
    gone = await shown(front, key, act="cancel")
    assert "Cancelled. It does not renew. The key works until 28 Oct 2026" in plain(gone)
    assert 'href="/buy/app?policy=team"' in gone.text
    assert (await subscription(front, order)).status is SubscriptionStatus.CANCELLED
    assert "nothing to cancel" in plain(await shown(front, key, act="cancel"))
    assert (await shown(front, key, act="dance")).status_code == 400


async def test_an_upgrade_says_its_price_before_and_is_paid(front: Front):
    order, key = await subscribed(front)
    await front.counter.travel(days=15)  # half of it
    page = await shown(front, key)
    assert "Max $9.00 now then $30.00 / month, next on 21 Oct 2026 · 9 devices" in plain(page)
    asked = await shown(front, key, act="quote", choice="max")
    assert "From Team to Max" in plain(asked)
    assert "To pay now $9.00 about 18,000 sats" in plain(asked)
    assert 'name="charge" value="900"' in asked.text
    dearer = await shown(front, key, act="upgrade", choice="max", charge="899")
    assert "The price has changed" in dearer.text
    assert await front.orders() == 1
    to_pay = await shown(front, key, act="upgrade", choice="max", charge="900")
    change = await front.order()
    assert (to_pay.status_code, change.purpose, change.listed_value) == (303, Purpose.TIER_CHANGE, 900)
    assert to_pay.headers["location"].startswith("http")
    told = f"$9.00 was seen for a change of tier (reference {change.support_reference}). Wait until it is confirmed"
    assert told not in plain(await shown(front, key))
    await front.counter.pay(change, confirmed=False)
    assert told in plain(await shown(front, key))
    coming = await shown(front, key, act="quote", choice="max")
    assert (told in plain(coming), 'value="upgrade"' in coming.text) == (True, False)
    await front.counter.fake.confirm(await front.counter.invoice_of(change))
    await front.counter.work_off()
    thanks = await front.thanks(change)
    assert "your license is App Max now" in plain(thanks)
    assert "claim code" not in thanks.text
    upgraded = plain(await shown(front, key))
    assert "App Max Active." in upgraded
    assert told not in upgraded
    assert "Next payment $30.00" in upgraded
    assert "Upgrade" not in upgraded
    assert (await shown(front, key, act="quote", choice="nope")).status_code == 404
    assert order.license_id == change.license_id


async def test_late_money_for_a_change_is_not_said_to_count_nor_asked_for_again(front: Front):
    _, key = await subscribed(front)
    await front.counter.travel(days=15)
    await shown(front, key, act="upgrade", choice="max", charge="900")
    change = await front.order()
    await front.counter.travel(minutes=20)
    ended = await front.thanks(change)
    over = plain(ended)
    assert ("This payment has expired" in over, "still counts" in over) == (True, False)
    assert '<meta http-equiv="refresh"' in ended.text, "or who paid in the last moment is told for good that he did not"
    await front.counter.pay(change, confirmed=False)
    assert "The price of a change holds for that time only, so the seller decides" in plain(await front.thanks(change))
    page = await shown(front, key)
    assert f'href="/thank-you?invoice_id={change.invoice_id}">See how it stands' in page.text
    asked = {"act": "upgrade", "choice": "max", "charge": "900"}
    for answer in (await shown(front, key, **asked), await shown(front, key, act="quote", choice="max")):
        assert (answer.status_code, "$9.00 was seen for a change of tier" in plain(answer)) == (200, True)
    assert await front.orders() == 2, "a page that knew nothing of the money opens no second order"
    assert "all the same" in plain(answer)
    await front.counter.fake.confirm(await front.counter.invoice_of(change))
    await front.counter.work_off()
    held = await shown(front, key, act="quote", choice="max")
    assert ("waits for the seller" in plain(held), 'value="upgrade"' in held.text) == (True, False), "it is refused"
    refused = await shown(front, key, **asked, known=change.support_reference)
    assert (refused.status_code, "Wait until that is through" in plain(refused)) == (409, True)
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await operate.refuse(work, change.id)
    assert "for a change of tier" not in plain(await shown(front, key)), "the seller has decided"
    assert (await shown(front, key, **asked)).status_code == 303


async def test_where_the_product_allows_it_a_lower_tier_is_planned_and_taken_back(front: Front):
    order, _ = await subscribed(front)
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await products.edit(work, order.product_id, products.ProductEdit(downgrade_at_renewal=True))
    await front.counter.travel(minutes=1)
    bought, key = await paid(front, await front.bought("max"))
    assert "Team from 21 Oct 2026, nothing to pay now" in plain(await shown(front, key))
    assert "Change on 21 Oct 2026" in plain(await shown(front, key, act="quote", choice="team"))
    planned = await shown(front, key, act="upgrade", choice="team", charge="0")
    assert "From 21 Oct 2026 on it is Team, for $12.00" in plain(planned)
    assert 'name="choice"' not in planned.text
    back = await shown(front, key, act="unplan")
    assert "The change is taken back" in plain(back)
    assert 'name="choice"' in back.text
    given, asker = Wanted("team"), Asker(ChangedBy.ADMIN, "as agreed")
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await plan(work, (await front.counter.order(bought.id)).license_id or UUID(int=0), given, asker)
    theirs = await shown(front, key)
    assert "The seller planned it" in plain(theirs)
    assert "Take that back" not in theirs.text
    for act in ({"act": "unplan"}, {"act": "upgrade", "choice": "team", "charge": "0"}):
        refused = await shown(front, key, **act)
        assert (refused.status_code, "The seller has planned this change" in refused.text) == (409, True)


async def test_what_was_bought_for_good_pays_the_difference(front: Front):
    _, key = await paid(front, await front.bought("pro"))
    page = plain(await shown(front, key))
    assert "Active. It is yours for ever." in page
    assert "Subscription" not in page
    assert "Upgrade" not in page  # there is no tier above it


async def test_a_key_that_does_not_count_opens_nothing(front: Front):
    order, key = await subscribed(front)
    for wrong, status, words in (("hello", 400, "not a license key"), (key[:-4] + "AAAA", 400, "not signed by this")):
        page = await shown(front, wrong)
        assert (page.status_code, words in page.text, f'value="{wrong}"' in page.text) == (status, True, True)
    assert order.license_id is not None
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await replace_key(work, order.license_id)
    replaced = await shown(front, key)
    assert (replaced.status_code, "replaced by a newer one" in replaced.text) == (403, True)
    new = await front.counter.key(order)
    for act, words in ((suspend, "Suspended."), (revoke, "Revoked.")):
        async with front.shop.store.work(front.counter.now, TESTER) as work:
            await act(work, order.license_id, "asked for it")
        page = await shown(front, new, act="cancel")
        assert (page.status_code, words in plain(page)) == (200, True)
        assert "asked for it" not in page.text
        assert 'id="key"' not in page.text
    assert (await subscription(front, order)).status is not SubscriptionStatus.CANCELLED


async def test_wrong_keys_are_counted_by_address_and_good_ones_by_license(front: Front):
    _, key = await subscribed(front)
    statuses = {(await shown(front, "nope")).status_code for _ in range(60)}
    assert statuses == {400}
    assert (await shown(front, "nope")).status_code == 429
    assert (await shown(front, key)).status_code == 200
    many = [(await front.http.post("/license", data={"license_key": key}, headers=FORM)).status_code for _ in range(60)]
    assert (many[0], many[-1]) == (200, 429)
    assert parse(key).payload.license_id


S = SubscriptionStatus


@pytest.mark.parametrize(
    ("license", "row", "state"),
    [
        ({}, {}, State.ACTIVE),
        ({"expires_at": None}, None, State.ACTIVE),
        ({"is_trial": True}, {}, State.TRIAL),
        ({}, {"cancel_at_period_end": True}, State.ENDING),
        ({"expires_at": NOON}, {}, State.GRACE),
        ({"expires_at": NOON}, {"cancel_at_period_end": True}, State.GRACE),
        ({"expires_at": NOON - 7 * DAY}, {}, State.OVER),
        ({"expires_at": NOON - 7 * DAY}, None, State.OVER),
        ({"expires_at": NOON}, {"status": S.CANCELLED}, State.CANCELLED),
        ({"expires_at": NOON - 8 * DAY}, {"status": S.CANCELLED}, State.OVER),
        ({}, {"status": S.PAUSED}, State.PAUSED),
        ({"expires_at": NOON - 8 * DAY}, {"status": S.PAUSED}, State.PAUSED),
        ({"status": LicenseStatus.SUSPENDED}, {}, State.SUSPENDED),
        ({"status": LicenseStatus.REVOKED, "expires_at": NOON - 8 * DAY}, {}, State.REVOKED),
    ],
)
def test_a_state_goes_by_the_clock_and_by_what_people_decided(
    license: dict[str, object], row: dict[str, object] | None, state: State
):
    facts = {"status": LicenseStatus.ACTIVE, "expires_at": NOON + DAY, "grace_seconds": 7 * 86_400, "is_trial": False}
    paid_by = {"status": S.ACTIVE, "cancel_at_period_end": False}
    found = state_of(License(**facts | license), Subscription(**paid_by | row) if row is not None else None, NOON)
    assert found is state
