"""Discount codes, as an operator types them."""

import pytest

from tests.cli.conftest import Run


def test_a_code_is_made_shown_edited_disabled_and_deleted(stocked: Run):
    made = stocked("code", "create", "spring", "--percent", "12.5", "--max-uses", "9", "--cycles", "6", "--json").json
    assert (made["code"], made["kind"], made["amount"], made["max_uses"]) == ("SPRING", "percent", 1250, 9)
    assert (made["duration"], made["duration_cycles"]) == ("cycles", 6)
    assert "12.50 % off" in stocked("code", "show", "Spring").out
    assert "all" in stocked("code", "show", "Spring").out
    changed = stocked(
        *("code", "edit", "SPRING", "--percent", "50", "--no-limit", "--expires", "2030-01-01", "--json")
    ).json
    assert (changed["amount"], changed["max_uses"], changed["expires_at"]) == (5000, None, "2030-01-01T00:00:00Z")
    assert stocked("code", "disable", "SPRING").out == "SPRING is disabled.\n"
    assert [one["active"] for one in stocked("code", "list", "--json").json["items"]] == [False]
    assert stocked("code", "enable", "SPRING").out == "SPRING is enabled.\n"
    assert stocked("code", "delete", "SPRING").out == "SPRING is gone.\n"
    assert stocked("code", "list").out == "There are no codes yet.\n"
    assert stocked("code", "report").out == "No code was used.\n"


def test_each_kind_has_its_words(stocked: Run):
    for words, kind, amount, currency in (
        (("--off", "10.00", "--currency", "usd"), "fixed_sats", 1000, "USD"),
        (("--off", "2100"), "fixed_sats", 2100, "SAT"),
        (("--set-price", "20", "--currency", "USD", "--product", "aurora", "--tier", "pro"), "set_price", 2000, "USD"),
        (("--free", "--featured", "--cycles", "forever"), "free_license", 0, None),
    ):
        made = stocked("code", "create", f"X{kind}{amount}", *words, "--json").json
        assert (made["kind"], made["amount"], made["discount_currency"]) == (kind, amount, currency)
    listed = [" ".join(line.split()) for line in stocked("code", "list").out.splitlines()]
    assert listed[1].startswith("XFIXED_SATS1000 USD 10.00 off all all 0")
    assert listed[-1].startswith("XSET_PRICE2000 for USD 20.00 aurora pro 0")
    shown = stocked("code", "edit", "XSET_PRICE2000", "--description", "For the fair").out
    assert {("product", "aurora"), ("tiers", "pro")} <= {tuple(line.split()) for line in shown.splitlines()}
    assert shown.endswith("For the fair\n")


@pytest.mark.parametrize(
    "words",
    [
        ("create", "X"),
        ("create", "X", "--percent", "20", "--free"),
        ("create", "X", "--percent", "101"),
        ("create", "X", "--percent", "12.345"),
        ("create", "X", "--off", "10.00", "--currency", "EUR", "--product", "aurora"),
        ("create", "X", "--percent", "20", "--tier", "pro"),
        ("create", "X", "--percent", "20", "--cycles", "some"),
        ("create", "a b", "--percent", "20"),
        ("show", "NOPE"),
        ("edit", "NOPE", "--percent", "20"),
        ("delete", "NOPE"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(stocked: Run, words: tuple[str, ...]):
    told = stocked("code", *words)
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--percent", "120"), "'120' is no percentage"),
        (("--percent", "12.345"), "'12.345' is no percentage"),
        (("--percent", "-1"), "'-1' is no percentage"),
        (("--percent", "20", "--expires", "2001-01-01"), "expires_at is over already"),
    ],
)
def test_what_is_mistyped_is_answered_in_the_words_it_was_typed_in(stocked: Run, words: tuple[str, ...], told: str):
    assert told in stocked("code", "create", "X", *words).err


def test_a_code_keeps_its_kind(stocked: Run):
    stocked("code", "create", "SPRING", "--percent", "20")
    assert "stays so" in stocked("code", "edit", "SPRING", "--off", "100").err
