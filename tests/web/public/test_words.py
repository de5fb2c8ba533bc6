from datetime import timedelta

import pytest

from keysat.kit.money import Money
from keysat.kit.periods import Period, Unit
from keysat.payments.provider import Rail
from keysat.web.public import words
from tests.conftest import NOON


@pytest.mark.parametrize(
    ("period", "cadence", "span"),
    [
        (Period(1, Unit.MONTH), "/ month", "1 month"),
        (Period(3, Unit.MONTH), "every 3 months", "3 months"),
        (Period(1, Unit.YEAR), "/ year", "1 year"),
        (Period(7, Unit.DAY), "/ week", "1 week"),
        (Period(30, Unit.DAY), "every 30 days", "30 days"),
    ],
)
def test_a_period_is_said_in_plain_words(period: Period, cadence: str, span: str):
    assert (words.cadence(period), words.span(period)) == (cadence, span)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "for ever"),
        (365 * 86_400, "1 year"),
        (14 * 86_400, "14 days"),
        (36 * 3_600, "36 hours"),
        (90, "90 seconds"),
    ],
)
def test_a_duration_is_said_in_the_largest_unit_without_a_rest(seconds: int, said: str):
    assert words.duration(seconds) == said


def test_the_time_left_is_rounded_up():
    said = [words.about(timedelta(seconds=seconds)) for seconds in (-5, 0, 1, 61, 841, 3_601, 90_000)]
    assert said == ["0 minutes", "0 minutes", "1 minute", "2 minutes", "15 minutes", "2 hours", "2 days"]


def test_no_seats_are_any_number_of_them():
    assert [words.seats(count) for count in (0, 1, 3)] == ["any number of devices", "1 device", "3 devices"]


def test_the_button_says_what_will_be_paid_and_with_what():
    price = Money("USD", 7500)
    assert words.act(Money("USD", 0), [Rail.CARD]) == "Get it free"
    assert words.act(price, [Rail.LIGHTNING, Rail.ONCHAIN]) == "Pay $75.00 with Bitcoin"
    assert words.act(price, [Rail.CARD]) == "Pay $75.00 by card"
    assert words.act(price, [Rail.CARD, Rail.LIGHTNING]) == "Pay $75.00"


def test_what_follows_a_trial_is_said_for_what_recurs_and_for_what_is_bought_once():
    price = Money("USD", 1200)
    assert words.trial_act(1) == "Start 1 free day"
    monthly = words.after_trial(14, price, Period(1, Unit.MONTH), 7)
    assert "After 14 days it is $12.00 / month, if you go on: nothing is charged by itself." in monthly
    assert monthly.endswith("Unpaid, it works for 7 more days and then stops.")
    assert "After 30 days it stops; to keep it, buy it for $12.00." in words.after_trial(30, price, None)


def test_the_next_payment_is_said_with_its_amount_its_day_and_what_happens_without_it():
    price = Money("USD", 1200)
    said = words.renewal(words.Next(price, NOON), 1, has_cards=False)
    assert said == (
        "Next payment: $12.00 by 15 Jan 2026, if you go on. Nothing is charged by itself. "
        "Unpaid, it works for 1 more day and then stops."
    )
    with_cards = words.renewal(words.Next(price, NOON, is_about=True), 0, has_cards=True)
    assert with_cards.startswith("Next payment: about $12.00 by 15 Jan 2026")
    assert with_cards.endswith("Unless you save a card, nothing is charged by itself. Unpaid, it stops then.")
    free = words.renewal(words.Next(Money("USD", 0), NOON), 7, has_cards=True)
    assert "nothing is to be paid for it either" in free


def test_a_machine_is_seen_no_finer_than_a_day():
    said = [words.seen(NOON - timedelta(days=days), NOON) for days in (0, 1, 30, 31)]
    assert said == ["today", "yesterday", "30 days ago", "on 15 Dec 2025"]
