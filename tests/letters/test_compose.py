"""What letters say, as they come out of the mail server."""

import re
from datetime import timedelta

from sqlalchemy import update

from keysat.checkout.recover import claim_code
from keysat.customers.tables import Customer
from keysat.infra.tables import OneTimeLink
from keysat.licenses.issue import revoke
from tests.checkout.counter import BUYER
from tests.letters.conftest import ANN, Desk, parts


async def test_a_receipt_has_the_key_and_all_that_brings_it_back(desk: Desk):
    order = await desk.sell()
    key = await desk.counter.key(order)
    [letter] = await desk.run()
    assert letter["To"] == ANN
    assert letter["From"] == "Ada & Sons <keys@shop.test>"
    assert letter["Subject"] == "Your license key for App Pro"
    page = f"http://shop.test/thank-you?invoice_id={order.invoice_id}"
    wanted = [key, claim_code(desk.room.vault, order.id), order.support_reference, page, "$75.00", "shop.test/recover"]
    for text in parts(letter):
        assert [words for words in wanted if words not in text] == []
        assert "for ever" in text
        assert "http://shop.test/" in text
        assert len(set(re.findall(r"https?://([^/\s\"]+)", text))) == 1, "it names nobody else's address"
    plain, rich = parts(letter)
    assert "Write to help@shop.test." in plain
    assert 'href="mailto:help@shop.test"' in rich
    assert "Ada & Sons" in plain
    assert "Ada &amp; Sons" in rich


async def test_after_a_day_the_receipt_goes_out_without_the_claim_code(desk: Desk):
    order = await desk.give()
    await desk.follow()
    desk.counter.clock.move(desk.counter.now + timedelta(hours=25))
    [letter] = await desk.run()
    for text in parts(letter):
        assert claim_code(desk.room.vault, order.id) not in text
        assert order.support_reference in text
        assert "Claim code" not in text


async def test_what_was_given_away_names_no_price(desk: Desk):
    await desk.give()
    [letter] = await desk.run()
    assert "Thank you for choosing App Pro" in parts(letter)[0]
    assert "Price" not in "".join(parts(letter))


async def test_a_recovery_letter_has_the_link_and_neither_key_nor_order_id(desk: Desk):
    order = await desk.give()
    await desk.run()
    await desk.ask_for_link(order)
    [letter] = await desk.run()
    assert letter["Subject"] == "Your link to the license key of App"
    for text in parts(letter):
        assert re.search(r"http://shop\.test/recover/[a-z2-7]{26}\b", text)
        assert order.invoice_id not in text
        assert "LIC1-" not in text
        assert "works once, until" in text


async def test_nothing_is_said_when_there_is_nothing_left_to_say(desk: Desk):
    revoked, erased, linked = await desk.give("bob@example.org"), await desk.give("eve@example.org"), await desk.give()
    async with desk.room.store.work(desk.counter.now, BUYER) as work:
        assert revoked.license_id is not None
        await revoke(work, revoked.license_id, "because")
        gone = {"email": None, "email_normal": None, "erased_at": work.now}
        await work.session.execute(update(Customer).where(Customer.id == erased.customer_id).values(**gone))
    await desk.ask_for_link(linked)
    async with desk.room.store.work(desk.counter.now, BUYER) as work:
        await work.session.execute(update(OneTimeLink).values(used_at=work.now))
    assert [letter["To"] for letter in await desk.run()] == [ANN]
    assert sorted(row.status for row in await desk.rows()) == ["dropped", "dropped", "sent"]


async def test_an_international_domain_is_written_for_mail_servers(desk: Desk):
    await desk.give("ann@bücher.example")
    [letter] = await desk.run()
    assert letter["To"] == "ann@xn--bcher-kva.example"


async def test_the_seller_may_choose_other_words(desk: Desk):
    desk.room.words.mkdir()
    (desk.room.words / "receipt.txt").write_text("Dein Schlüssel\n{{ license_key }}\nGruss, {{ shop_name }}\n")
    await desk.give()
    [letter] = await desk.run()
    assert letter["Subject"] == "Dein Schlüssel"
    plain, rich = parts(letter)
    assert plain.startswith("LIC1-")
    assert plain.endswith("Gruss, Ada & Sons\n")
    assert "Your license key" in rich
