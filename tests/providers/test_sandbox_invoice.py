"""The wallet's rules, under everything that a visitor could press in any order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.accidents import ACCIDENTS, Moment
from providers.sandbox.cards import CARDS, charged
from providers.sandbox.invoice import Extra, Invoice, Status, by_time

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
BEFALLS = ACCIDENTS | {f"charge {card.name}": charged(card) for card in CARDS.values()}
BY_HAND = {"mark-settled", "mark-invalid"}

# (seconds until then, what is pressed)
stories = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([*BEFALLS])), max_size=12)


def made(price_minor: int, lives: int, monitored: int) -> Invoice:
    expires_at = NOON + timedelta(seconds=lives)
    return Invoice(
        id="i",
        checkout_id="c",
        attempt_id="a",
        currency="EUR",
        price_minor=price_minor,
        description="",
        item_code="",
        return_url="http://shop.test/",
        created_at=NOON,
        expires_at=expires_at,
        monitor_until=expires_at + timedelta(seconds=monitored),
    )


invoices = st.builds(made, st.integers(1, 10_000), st.integers(1, 60), st.integers(0, 60))


@given(invoices, stories, st.integers(1, 30))
def test_it_does_not_matter_how_often_anybody_looks(invoice: Invoice, story: list[tuple[int, str]], gone: int):
    rarely = often = invoice
    heard_rarely: list[str] = []
    heard_often: list[str] = []
    now = NOON
    for wait, button in [*story, (100, "")]:
        for _ in range(wait):
            now += timedelta(seconds=1)
            often, events = by_time(often, now)
            heard_often += [event.type for event in events]
        rarely, events = by_time(rarely, now)
        heard_rarely += [event.type for event in events]
        if button:
            (often, told), (rarely, same) = [
                BEFALLS[button](one, Moment(now, gone)) for one in (by_time(often, now)[0], rarely)
            ]
            heard_often += [event.type for event in told]
            heard_rarely += [event.type for event in same]
    assert (often, heard_often) == (rarely, heard_rarely)


@given(invoices, stories)
def test_states_only_go_where_btcpay_lets_them(invoice: Invoice, story: list[tuple[int, str]]):
    now = NOON
    for wait, button in story:
        now += timedelta(seconds=wait)
        before, _ = by_time(invoice, now)
        invoice, events = BEFALLS[button](before, Moment(now, 5))
        if before.status is Status.SETTLED and before.extra is not Extra.MARKED:
            assert (invoice.status, invoice.extra) == (before.status, before.extra)
        if before.status is Status.EXPIRED and button not in BY_HAND:
            assert invoice.status is Status.EXPIRED
        if (
            invoice.status is Status.SETTLED
            and invoice.extra is not Extra.MARKED
            and before.status is not Status.SETTLED
        ):
            assert invoice.confirmed_minor >= invoice.price_minor
            assert (invoice.extra is Extra.OVER) == (invoice.paid_minor > invoice.price_minor)
        settled_now = before.status is not Status.SETTLED and invoice.status is Status.SETTLED
        if settled_now:
            assert events[-1].type == "InvoiceSettled"
        if invoice.status is Status.NEW:
            assert (invoice.extra is Extra.PARTIAL) == (invoice.paid_minor > 0)
            assert invoice.paid_minor < invoice.price_minor
