"""Products, tiers and offers, as an operator types them."""

import pytest

from tests.cli.conftest import Run

AURORA = ("product", "create", "aurora", "--name", "Aurora", "--price", "25.00", "--currency", "usd")
PRO = ("policy", "create", "aurora", "pro", "--name", "Pro")


@pytest.fixture
def shelf(house: Run) -> Run:
    """A shop with the product `aurora` at $25.00."""
    assert house(*AURORA, "--feature", "core:Core:What it is for", "--feature", "sync").code == 0
    return house


def test_a_product_is_written_shown_edited_and_switched(shelf: Run):
    product = shelf("product", "show", "aurora", "--json").json
    assert (product["price_currency"], product["price_value"], product["active"]) == ("USD", 2500, True)
    assert product["entitlements_catalog"] == [
        {"slug": "core", "name": "Core", "description": "What it is for"},
        {"slug": "sync", "name": "sync", "description": ""},
    ]
    edited = shelf("product", "edit", "aurora", "--name", "Aurora 2", "--sats", "50000", "--no-features", "--json").json
    assert (edited["name"], edited["price_currency"], edited["price_sats"]) == ("Aurora 2", "SAT", 50_000)
    assert edited["entitlements_catalog"] is None
    assert shelf("product", "deactivate", "aurora").out == "aurora is no longer on sale.\n"
    [listed] = shelf("product", "list", "--json").json["items"]
    assert (listed["slug"], listed["active"]) == ("aurora", False)
    assert shelf("product", "activate", "aurora").out == "aurora is on sale.\n"
    assert "SAT 50000" in shelf("product", "list").out
    assert "SAT 50000" in shelf("product", "show", "aurora").out


def test_an_empty_shop_says_how_to_begin(house: Run):
    assert "keysat product create" in house("product", "list").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--price", "25"), "in which currency"),
        (("--price", "25.001", "--currency", "USD"), "3 decimals"),
        (("--price", "25,00", "--currency", "USD"), "not an amount"),
        (("--price", "1e3", "--currency", "USD"), "not an amount"),
        (("--price", "25.00", "--currency", "XXX"), "XXX"),
        (("--price", "25.00", "--currency", "USD", "--sats", "5"), "two words for one thing"),
        (("--currency", "USD"), "goes with --price"),
        ((), "price is missing"),
    ],
)
def test_a_price_is_exact_and_said_once(house: Run, words: tuple[str, ...], told: str):
    refused = house("product", "create", "app", "--name", "App", *words)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert told in refused.err
    assert house("product", "list", "--json").json["items"] == []


def test_a_tier_says_all_that_is_sold(shelf: Run):
    typed = ("--price", "75.00", "--every", "3 months", "--machines", "5", "--grace-days", "10", "--rank", "2")
    more = ("--entitlement", "core", "--entitlement", "sync", "--bullet", "For teams", "--highlighted", "--private")
    tried = ("--trial-days", "14", "--trial-needs", "fingerprint")
    tier = shelf(*PRO, *typed, *more, *tried, "--json").json
    assert (tier["trial_days"], tier["trial_needs"]) == (14, "fingerprint")
    assert (tier["price_value"], tier["renewal_period"]) == (7500, {"count": 3, "unit": "month"})
    assert (tier["max_machines"], tier["grace_period_days"], tier["grace_seconds"]) == (5, 10, 864_000)
    assert (tier["entitlements"], tier["marketing_bullets"]) == (["core", "sync"], ["For teams"])
    assert (tier["tier_rank"], tier["highlighted"], tier["public"]) == (2, True, False)
    edited = shelf("policy", "edit", "aurora", "pro", "--once", "--days", "365", "--product-price", "--json").json
    assert (edited["is_recurring"], edited["duration_seconds"], edited["price_value"]) == (False, 31_536_000, None)
    assert edited["entitlements"] == ["core", "sync"]
    assert shelf("policy", "show", "aurora", "pro", "--json").json == edited
    assert "by hand only" in shelf("policy", "show", "aurora", "pro").out


def test_a_tier_is_hidden_and_archived_and_comes_back(shelf: Run):
    assert "sold as it is" in shelf("policy", "list", "aurora").out
    shelf(*PRO)
    for verb, word in (("hide", "by hand only"), ("publish", "to anyone"), ("archive", "archived")):
        assert shelf("policy", verb, "aurora", "pro").code == 0
        assert word in shelf("policy", "list", "aurora").out
    assert shelf("policy", "unarchive", "aurora", "pro").out == "pro is back from the archive.\n"
    [tier] = shelf("policy", "list", "aurora", "--json").json["items"]
    assert tier["archived_at"] is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*PRO, "--sats", "5000"), "aurora is priced in USD"),
        ((*PRO, "--price", "5", "--currency", "EUR"), "aurora is priced in USD"),
        ((*PRO, "--every", "fortnight"), "no period"),
        ((*PRO, "--every", "9999 years"), "9999"),
        ((*PRO, "--entitlement", "gold"), "gold"),
        (("policy", "create", "borealis", "pro", "--name", "Pro"), "borealis"),
        (("policy", "edit", "aurora", "gold", "--name", "Gold"), "it has none"),
        (("product", "edit", "aurora", "--tier-price", "pro=5"), "--tier-price goes with"),
        (("offer", "list", "aurora", "pro"), "no tier 'pro'"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(shelf: Run, words: tuple[str, ...], told: str):
    refused = shelf(*words)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert told in refused.err


def test_an_offer_is_another_price_and_period(shelf: Run):
    shelf(*PRO, "--price", "10.00", "--every", "month")
    made = shelf("offer", "create", "aurora", "pro", "yearly", "--price", "100.00", "--every", "year", "--json").json
    assert (made["slug"], made["price"], made["every"], made["active"]) == ("yearly", "USD 100.00", "1 year", True)
    assert shelf("offer", "create", "aurora", "pro", "free").code == 1
    edited = shelf("offer", "edit", "aurora", "pro", "yearly", "--price", "90.00", "--inactive", "--json").json
    assert (edited["price"], edited["active"]) == ("USD 90.00", False)
    assert "USD 90.00" in shelf("offer", "list", "aurora", "pro").out
    assert "it has yearly" in shelf("offer", "edit", "aurora", "pro", "weekly", "--active").err
    assert shelf("offer", "delete", "aurora", "pro", "yearly").out == "yearly is gone.\n"
    assert shelf("offer", "list", "aurora", "pro", "--json").json["items"] == []


def test_another_currency_wants_every_price_with_it(shelf: Run):
    shelf(*PRO, "--price", "75.00")
    words = ("product", "edit", "aurora", "--price", "20.00", "--currency", "EUR")
    assert "tier_prices" in shelf(*words).err
    assert shelf(*words, "--tier-price", "pro=60.00").code == 0
    assert "EUR 60.00" in shelf("policy", "show", "aurora", "pro").out


def test_what_nobody_ordered_is_removed_and_what_was_given_stays(shelf: Run):
    shelf(*PRO)
    shelf("policy", "create", "aurora", "extra", "--name", "Extra")
    assert shelf("policy", "delete", "aurora", "extra", "--json").json["deleted"] == "extra"
    shelf("license", "issue", "aurora", "pro")
    for words in (("policy", "delete", "aurora", "pro"), ("product", "delete", "aurora")):
        for force in ((), ("--force", "--name", words[-1])):
            refused = shelf(*words, *force)
            assert (refused.code, refused.err.count("\n")) == (1, 1)
            assert "was sold: 1 license" in refused.err
    shelf("product", "create", "tool", "--name", "Tool", "--sats", "0")
    shelf("policy", "create", "tool", "pro", "--name", "Pro")
    assert "type the name tool" in shelf("product", "delete", "tool", "--force").err
    assert shelf("product", "delete", "tool", "--force", "--name", "tool").out == "tool is gone, and with it 1 tier.\n"
