"""Who gets a lost key back, and who does not."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from keysat.checkout.operate import gift, give
from keysat.checkout.recover import (
    MISMATCH,
    Ask,
    claim_code,
    claim_code_to_show,
    is_claim_code,
    recover,
    recover_with_link,
    replace_leaked_key,
)
from keysat.checkout.tables import Order
from keysat.infra.links import token_of
from keysat.infra.tables import EventOrigin, EventRow, OneTimeLink
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.licenses.issue import revoke, suspend
from keysat.licenses.tables import License
from tests.checkout.counter import BUYER, Counter

ANN = "Ann@Example.org"


async def sold(counter: Counter, email: str | None = ANN) -> Order:
    async with counter.store.work(counter.now, BUYER) as work:
        return await give(work, await gift(work, "app", "pro", email))


async def asked(counter: Counter, **ask: str) -> License | None:
    async with counter.store.work(counter.now, BUYER) as work:
        found = await recover(work, counter.vault, Ask(**{"reference": "", **ask}))
        return found.license if found is not None else None


async def refused(counter: Counter, **ask: str) -> str:
    with pytest.raises(NotFound) as caught:
        await asked(counter, **ask)
    return caught.value.message


async def events(counter: Counter, name: str) -> list[EventRow]:
    async with counter.store.read() as read:
        return list(await read.session.scalars(select(EventRow).where(EventRow.name == name).order_by(EventRow.id)))


async def link_rows(counter: Counter) -> list[OneTimeLink]:
    async with counter.store.read() as read:
        return list(await read.session.scalars(select(OneTimeLink)))


@pytest.mark.parametrize("email", [ANN, " ann@example.ORG "])
async def test_the_secret_id_and_the_address_open_the_license(counter: Counter, email: str):
    order = await sold(counter)
    found = await asked(counter, reference=f" {order.invoice_id.upper()} ", email=email)
    assert found is not None
    assert found.id == order.license_id
    page = f"http://shop.test/thank-you?invoice_id={order.invoice_id}"
    assert await asked(counter, reference=page, email=email) is not None


async def test_whatever_does_not_fit_is_refused_with_one_text(counter: Counter):
    mine, anonymous, other = await sold(counter), await sold(counter, None), await sold(counter, "bob@example.org")
    unpaid = await counter.buy(buyer_email=ANN)
    code = claim_code(counter.vault, mine.id)
    for ask in (
        {"reference": mine.invoice_id, "email": "bob@example.org"},
        {"reference": mine.invoice_id, "email": "no address"},
        {"reference": other.invoice_id, "email": ANN},
        {"reference": anonymous.invoice_id, "email": ANN},
        {"reference": unpaid.invoice_id, "email": ANN},
        {"reference": unpaid.invoice_id, "claim_code": claim_code(counter.vault, unpaid.id)},
        {"reference": str(mine.id), "email": ANN},
        {"reference": "x" * 200, "email": ANN},
        {"reference": mine.invoice_id, "claim_code": code[:-1]},
        {"reference": other.invoice_id, "claim_code": code},
        {"reference": "KS-AAAAAAAAAA", "claim_code": code},
        {"reference": mine.invoice_id, "email": ANN, "claim_code": "wrong"},
        {"reference": "http://[?invoice_id=", "email": ANN},
    ):
        assert await refused(counter, **ask) == MISMATCH, ask
    assert await events(counter, "license.recovered") == []


@pytest.mark.parametrize("act", [suspend, revoke])
async def test_a_license_that_was_taken_away_is_not_given_back(counter: Counter, act: Any):
    order = await sold(counter)
    async with counter.store.work(counter.now, BUYER) as work:
        await act(work, order.license_id, "because")
    assert await refused(counter, reference=order.invoice_id, email=ANN) == MISMATCH
    assert await refused(counter, reference=order.invoice_id, claim_code=claim_code(counter.vault, order.id))
    assert await asked(counter, reference=order.support_reference, email=ANN) is None
    assert await link_rows(counter) == []


@pytest.mark.parametrize("ask", [{}, {"reference": "x"}, {"reference": " ", "email": "a@b"}, {"email": ANN}])
async def test_half_a_question_is_told_so(counter: Counter, ask: dict[str, str]):
    with pytest.raises(BadRequest):
        await asked(counter, **ask)


async def test_a_support_reference_and_the_address_make_a_link_and_tell_nothing(counter: Counter):
    order = await sold(counter)
    for reference, email in ((order.support_reference, "bob@example.org"), ("KS-AAAAAAAAAA", ANN)):
        assert await asked(counter, reference=reference, email=email) is None
    assert await link_rows(counter) == []
    assert await asked(counter, reference=order.support_reference.lower(), email=ANN) is None
    [older] = await link_rows(counter)
    assert older.subject == str(order.id)
    assert await asked(counter, reference=order.support_reference, email=ANN) is None
    [link] = [link for link in await link_rows(counter) if link.id != older.id]
    with pytest.raises(NotFound):  # a new one closes those before
        async with counter.store.work(counter.now, BUYER) as work:
            await recover_with_link(work, token_of(counter.vault, older.id))
    async with counter.store.work(counter.now, BUYER) as work:
        assert (await recover_with_link(work, token_of(counter.vault, link.id))).license.id == order.license_id
    with pytest.raises(NotFound):
        async with counter.store.work(counter.now, BUYER) as work:
            await recover_with_link(work, token_of(counter.vault, link.id))


@pytest.mark.parametrize("by", ["invoice_id", "support_reference"])
async def test_an_anonymous_buyer_has_the_claim_code(counter: Counter, by: str):
    order = await sold(counter, None)
    code = claim_code(counter.vault, order.id)
    typed = code.lower().replace("-", " ").replace("o", "0").replace("i", "1").replace("b", "8")
    for written in (code, typed):
        found = await asked(counter, reference=getattr(order, by), claim_code=written)
        assert found is not None
        assert found.id == order.license_id


async def test_a_recovery_is_an_event_without_the_address(counter: Counter):
    order = await sold(counter)
    await asked(counter, reference=order.invoice_id, email=ANN)
    await asked(counter, reference=order.invoice_id, claim_code=claim_code(counter.vault, order.id))
    told = await events(counter, "license.recovered")
    assert [row.subject for row in told] == [str(order.license_id)] * 2
    assert ['"how":"email"' in told[0].body, '"how":"claim_code"' in told[1].body] == [True, True]
    async with counter.store.read() as read:
        every = await read.session.scalars(select(EventRow.body))
        origins = await read.session.scalars(select(EventOrigin.address).where(EventOrigin.event_id == told[0].id))
        assert list(origins) == [BUYER.address]
        assert not any("example.org" in body.lower() for body in every)


async def test_the_claim_code_has_130_bits_and_belongs_to_one_order(counter: Counter):
    one, other = await sold(counter), await sold(counter)
    code = claim_code(counter.vault, one.id)
    assert len(code.replace("-", "")) * 5 == 130
    assert code == claim_code(counter.vault, one.id) != claim_code(counter.vault, other.id)
    for wrong in ("", "-", code + "A", code[1:], claim_code(counter.vault, other.id)):
        assert not is_claim_code(counter.vault, one.id, wrong)


async def test_the_claim_code_is_shown_for_a_day_after_the_key_was_made(counter: Counter):
    unpaid, order = await counter.buy(), await sold(counter)
    hour = timedelta(hours=1)
    assert claim_code_to_show(counter.vault, order, counter.now + 24 * hour - timedelta(seconds=1)) is not None
    assert claim_code_to_show(counter.vault, order, counter.now + 24 * hour) is None
    assert claim_code_to_show(counter.vault, unpaid, counter.now) is None


async def test_a_leaked_key_is_replaced_by_who_knows_the_claim_code(counter: Counter):
    order = await sold(counter)
    assert order.license_id is not None
    with pytest.raises(NotFound):
        async with counter.store.work(counter.now, BUYER) as work:
            await replace_leaked_key(work, counter.vault, order.license_id, "wrong")
    async with counter.store.work(counter.now, BUYER) as work:
        done = await replace_leaked_key(work, counter.vault, order.license_id, claim_code(counter.vault, order.id))
        assert done.license.id == order.license_id
    async with counter.store.read() as read:
        license = await read.get(License, order.license_id)
    assert license.keys_valid_from == license.key_issued_at > counter.now - timedelta(seconds=1)
    async with counter.store.work(counter.now, BUYER) as work:
        await revoke(work, order.license_id, "because")
    with pytest.raises((NotFound, Conflict)):
        async with counter.store.work(counter.now, BUYER) as work:
            await replace_leaked_key(work, counter.vault, order.license_id, claim_code(counter.vault, order.id))
