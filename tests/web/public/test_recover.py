"""The pages for who lost a key: as a browser without JavaScript uses them."""

import re
from dataclasses import replace
from email.headerregistry import Address

import httpx
import pytest
from sqlalchemy import select

from keysat.checkout.operate import gift, give
from keysat.checkout.recover import claim_code
from keysat.checkout.tables import Order
from keysat.infra.links import LIFE, token_of
from keysat.infra.mail import Mailer
from keysat.infra.setting_values import Smtp
from keysat.infra.tables import OneTimeLink
from tests.checkout.counter import BUYER
from tests.web.conftest import BROWSER, browse, doors_of
from tests.web.selling import Front

pytestmark = pytest.mark.once

ANN = "ann@example.org"
MAILER = Mailer(Smtp(host="127.0.0.1", port=25), Address("Shop", addr_spec="a@shop.test"))


async def sold(front: Front, email: str | None = ANN) -> tuple[Order, str]:
    async with front.shop.store.work(front.counter.now, BUYER) as work:
        order = await give(work, await gift(work, "app", "pro", email))
    key = await front.counter.key(order)
    return order, key


async def asked(front: Front, **fields: str) -> httpx.Response:
    return await front.http.post("/recover", data=fields)


async def link_of(front: Front, order: Order) -> str:
    await asked(front, reference=order.support_reference, email=ANN)
    async with front.shop.read() as read:
        link = (await read.session.scalars(select(OneTimeLink))).one()
    return f"/recover/{token_of(front.shop.vault, link.id)}"


async def test_the_shop_and_the_thank_you_page_lead_there(front: Front):
    order, _ = await sold(front)
    for page in (await front.http.get("/"), await front.thanks(order), await front.http.get("/thank-you")):
        assert 'href="/recover"' in page.text
    form = (await front.http.get("/recover")).text
    assert 'name="reference"' in form
    assert "the claim code" in form


async def test_the_way_by_mail_is_offered_where_mail_is_set_up(front: Front):
    assert "This shop sends no mail" in (await front.http.get("/recover")).text
    async with browse(doors_of(replace(front.shop, mailer=MAILER))) as client:
        text = (await client.get("/recover", headers=BROWSER)).text
    assert "We send a link" in text
    assert "sends no mail" not in text


async def test_the_thank_you_page_shows_the_claim_code_for_a_day(front: Front):
    order, _ = await sold(front)
    code = claim_code(front.shop.vault, order.id)
    assert code in (await front.thanks(order)).text
    await front.counter.travel(hours=24)
    later = (await front.thanks(order)).text
    assert code not in later
    assert "claim code" not in later
    assert "Your license key" in later


async def test_an_unpaid_order_shows_no_claim_code(front: Front):
    order = await front.bought()
    assert claim_code(front.shop.vault, order.id) not in (await front.thanks(order)).text


@pytest.mark.parametrize("reference", ["{0.invoice_id}", " http://shop.test/thank-you?invoice_id={0.invoice_id}"])
async def test_the_orders_page_and_the_address_bring_the_key_back(front: Front, reference: str):
    order, key = await sold(front)
    page = await asked(front, reference=reference.format(order), email=ANN)
    assert page.status_code == 200
    assert f">{key}</code>" in page.text
    assert order.support_reference in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    found = re.search(r'href="(/thank-you/key[^"]+)"', page.text)
    assert found is not None
    assert (await front.http.get(found[1])).text == f"{key}\n"


async def test_who_gave_no_address_comes_with_the_claim_code(front: Front):
    order, key = await sold(front, None)
    page = await asked(front, reference=order.support_reference, claim_code=claim_code(front.shop.vault, order.id))
    assert f">{key}</code>" in page.text


async def test_what_does_not_fit_is_said_on_the_form_and_nothing_typed_is_lost(front: Front):
    order, _ = await sold(front)
    page = await asked(front, reference=order.invoice_id, email='b"@example.org')
    assert page.status_code == 404
    assert "Nothing fits these details" in page.text
    assert f'value="{order.invoice_id}"' in page.text
    assert 'value="b&#34;@example.org"' in page.text
    assert "LIC1-" not in page.text
    assert (await asked(front, reference=order.invoice_id)).status_code == 400
    statuses = [(await asked(front, reference=order.invoice_id, email="c@d.test")).status_code for _ in range(4)]
    assert statuses == [404, 404, 404, 429]


async def test_what_cannot_be_stored_is_refused_before_it_is_looked_for(front: Front):
    for reference in ("\0", "x" * 256):
        assert (await asked(front, reference=reference, email=ANN)).status_code == 400


@pytest.mark.parametrize(("mails", "words"), [(True, "Look into your mail"), (False, "This shop sends no mail")])
async def test_a_reference_and_an_address_are_answered_alike_whether_they_fit(front: Front, mails: bool, words: str):
    order, _ = await sold(front)
    async with browse(doors_of(replace(front.shop, mailer=MAILER if mails else front.shop.mailer))) as client:
        fits, fits_not = [
            await client.post("/recover", data={"reference": order.support_reference, "email": who}, headers=BROWSER)
            for who in (ANN, "b@c.test")
        ]
    assert words in fits.text
    assert strip_nonce(fits.text) == strip_nonce(fits_not.text)


def strip_nonce(text: str) -> str:
    return re.sub(r'nonce="[^"]+"', "", text)


async def test_a_link_shows_the_key_once_and_only_on_the_button(front: Front):
    order, key = await sold(front)
    address = await link_of(front, order)
    for _ in range(3):  # a mail scanner, and the buyer
        page = await front.http.get(address)
        assert page.status_code == 200
        assert key not in page.text
        assert f'action="{address}"' in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
    shown = await front.http.post(address, headers={"Origin": "null"})
    assert f">{key}</code>" in shown.text
    for again in (await front.http.post(address), await front.http.get(address)):
        assert again.status_code == 404
        assert "This link no longer works" in again.text
        assert "LIC1-" not in again.text


async def test_a_link_is_over_after_half_an_hour(front: Front):
    order, _ = await sold(front)
    address = await link_of(front, order)
    front.counter.clock.move(front.counter.now + LIFE)
    assert (await front.http.get(address)).status_code == 404
    assert (await front.http.post(address)).status_code == 404


async def test_a_leaked_key_is_replaced_from_the_page_that_shows_it(front: Front):
    order, old = await sold(front)
    code = claim_code(front.shop.vault, order.id)
    page = await asked(front, reference=order.support_reference, claim_code=code)
    assert f'name="license_key" value="{old}"' in page.text
    form = {"license_key": old, "claim_code": "wrong"}
    refused = await front.http.post("/recover/replace-key", data=form)
    assert refused.status_code == 404
    assert "Nothing fits" in refused.text
    done = await front.http.post("/recover/replace-key", data=form | {"claim_code": code}, headers={"Origin": "null"})
    assert done.status_code == 200
    assert "Your new license key" in done.text
    new = await front.counter.key(order)
    assert new != old
    assert f">{new}</code>" in done.text
    assert old not in done.text


async def test_the_form_to_replace_a_key_stands_on_a_page_of_its_own(front: Front):
    assert 'name="license_key"' in (await front.http.get("/recover/replace-key")).text
    refused = await front.http.post("/recover/replace-key", data={"license_key": "hello", "claim_code": "x"})
    assert (refused.status_code, "not a license key" in refused.text) == (400, True)
