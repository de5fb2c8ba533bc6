"""Orders, licenses, rates, providers, attention, audit: as an operator types them."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_a_license_is_given_shown_and_listed(stocked: Run):
    given = stocked("license", "issue", "aurora", "pro", "--email", "alice@example.org", "--json").json
    assert stocked("license", "show", given["id"], "--json").json == given
    assert stocked("license", "show", given["key"], "--json").json == given
    listed = stocked("license", "list", "--product", "aurora", "--json").json["items"]
    assert [one["id"] for one in listed] == [given["id"]]
    [buyer] = stocked("customer", "list", "alice@", "--json").json["items"]
    assert (buyer["email"], buyer["id"] in stocked("customer", "list").out) == ("alice@example.org", True)
    assert stocked("customer", "list", "nobody@").out == "There are no such customers.\n"
    [order] = stocked("order", "list", "--json").json["items"]
    assert (order["status"], order["purpose"], order["license_id"]) == ("fulfilled", "manual", given["id"])
    assert stocked("order", "show", order["reference"], "--json").json["paid_how"] == "free"
    assert order["reference"] in stocked("order", "list").out


def test_a_license_is_edited_and_many_are_given(stocked: Run, tmp_path: Path):
    made = stocked("license", "issue", "aurora", "pro", "--json").json
    edited = stocked("license", "edit", made["id"], "--machines", "7", "--expires-at", "2031-01-01", "--json").json
    assert (edited["seats"], edited["expires_at"][:10]) == ("0/7", "2031-01-01")
    back = stocked("license", "edit", made["id"], "--back", "max_machines", "--back", "expires_at", "--json").json
    assert back == made
    names = tmp_path / "names"
    names.write_text("ann@example.org\n\nbob@example.org\n")
    given = stocked("license", "give-many", "aurora", "pro", "--emails", str(names), "--json").json["items"]
    assert [one["email"] for one in given] == ["ann@example.org", "bob@example.org"]
    names.write_text("cleo@example.org\nnobody\n")
    assert stocked("license", "give-many", "aurora", "pro", "--emails", str(names)).code == 1
    assert len(stocked("license", "list", "--json").json["items"]) == 3


def test_a_license_is_suspended_unsuspended_and_revoked_for_ever(stocked: Run):
    license_id = stocked("license", "issue", "aurora", "pro", "--json").json["id"]
    assert stocked("license", "suspend", license_id, "--reason", "a chargeback").out.endswith("is suspended.\n")
    assert stocked("license", "unsuspend", license_id).out.endswith("is active.\n")
    assert stocked("license", "revoke", license_id, "--yes").out.endswith("is revoked.\n")
    told = stocked("license", "unsuspend", license_id)
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert stocked("license", "list", "--status", "active").out == "There are no such licenses.\n"


def test_a_leaked_key_is_replaced(stocked: Run):
    old = stocked("license", "issue", "aurora", "pro", "--json").json
    new = stocked("license", "replace-key", old["key"], "--yes", "--json").json
    assert (new["id"], new["issued_at"]) == (old["id"], old["issued_at"])
    assert new["key"] != old["key"]
    assert stocked("license", "show", old["id"], "--json").json == new
    stocked("license", "revoke", old["id"], "--yes")
    assert stocked("license", "replace-key", old["id"], "--yes").code == 1


def test_a_license_goes_to_other_tiers_and_comes_back_from_a_plan(stocked: Run):
    license_id = stocked("license", "issue", "aurora", "standard", "--json").json["id"]
    given = stocked("license", "change-tier", license_id, "team", "--reason", "A gift", "--json").json
    assert (given["applied"], given["to_policy_slug"], given["direction"]) == (True, "team", "upgrade")
    words = ("license", "change-tier", license_id, "team", "--offer", "yearly", "--when", "at_renewal", "--json")
    assert stocked(*words).json["status"] == "scheduled"
    assert "cancelled" in stocked("license", "cancel-tier-change", license_id).out
    assert "No change of tier is planned" in stocked("license", "cancel-tier-change", license_id).err
    assert "has the tier team already" in stocked("license", "change-tier", license_id, "team").err


def test_a_subscription_rests_goes_on_changes_its_price_and_ends(stocked: Run):
    assert stocked("subscription", "list").out == "There are no such subscriptions.\n"
    given = stocked("license", "issue", "aurora", "team", "--json").json
    [listed] = stocked("subscription", "list", "--status", "active", "--json").json["items"]
    assert (listed["price"], listed["license_id"], listed["parked"]) == ("USD 12.00", given["id"], False)
    for known in (listed["id"], given["id"], given["key"]):
        shown = stocked("subscription", "show", known, "--json").json
        assert (shown["id"], shown["period"], len(shown["cycles"])) == (listed["id"], "1 month", 1)
    ann = listed["id"]
    assert stocked("subscription", "pause", ann).out == f"Subscription {ann} is paused.\n"
    assert stocked("subscription", "resume", given["key"]).out == f"Subscription {ann} is active.\n"
    told = stocked("subscription", "price", ann, "15.00", "--reason", "Storage costs us more.")
    assert told.out == f"Subscription {ann} is active. It costs USD 15.00 from cycle 2 on.\n"
    assert "and ends on" in stocked("subscription", "cancel", ann, "--at-period-end", "--yes").out
    assert "ends" not in stocked("subscription", "keep-on", ann).out
    assert "is cancelled" in stocked("subscription", "cancel", ann, "--reason", "Asked for.", "--yes").out
    assert stocked("subscription", "show", ann, "--json").json["reason"] == "Asked for."


def test_without_a_mail_server_there_are_no_letters(stocked: Run):
    stocked("license", "issue", "aurora", "pro", "--email", "alice@example.org")
    assert stocked("job", "letters").code == 0
    assert stocked("letter", "list").out == "There are no such letters.\n"
    assert stocked("letter", "list", "--status", "parked", "--json").json["items"] == []


def test_a_license_is_asked_for_by_a_tier_that_is_there(stocked: Run):
    assert "it has free, team, standard, pro." in stocked("license", "issue", "aurora", "gold").err
    assert "Say which tier" in stocked("license", "issue", "aurora").err
    assert "There is no product 'borealis'" in stocked("license", "issue", "borealis").err


@pytest.mark.parametrize(
    "words",
    [
        ("license", "show", "hello"),
        ("license", "show", "00000000-0000-0000-0000-000000000000"),
        ("order", "show", "KS-NOTHING"),
        ("order", "settle", "KS-NOTHING", "--yes"),
        ("order", "list", "--status", "lost"),
        ("subscription", "show", "hello"),
        ("subscription", "retry", "00000000-0000-0000-0000-000000000000"),
        ("attention", "done", "7"),
        ("letter", "retry", "hello"),
        ("letter", "retry", "00000000-0000-0000-0000-000000000000"),
        ("rate", "pin", "USD", "fifty"),
        ("rate", "pin", "USD", "1"),
        ("rate", "pin", "QQQ", "50000"),
        ("provider", "disconnect", "00000000-0000-0000-0000-000000000000"),
        ("provider", "connect", "nobody", "--url", "http://127.0.0.1:1", "--api-key", "k"),
        ("provider", "connect", "btcpay", "--url", "http://127.0.0.1:1", "--api-key", "k", "--store", "s"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(stocked: Run, words: tuple[str, ...]):
    told = stocked(*words)
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert told.err.startswith("keysat: ")


def test_a_rate_is_pinned_and_unpinned(house: Run):
    assert house("rate", "list").out == "Nothing is priced in a currency yet.\n"
    assert house("rate", "pin", "usd", "50000.50").code == 0
    [pinned] = house("rate", "list", "--json").json["items"]
    assert (pinned["currency"], pinned["price_of_one_btc"], pinned["source"]) == ("USD", "50000.5000", "pin")
    assert house("rate", "unpin", "USD").out == "USD follows the sources.\n"
    assert house("rate", "unpin", "USD").out == "USD was not pinned.\n"


def test_attention_is_listed_and_done(stocked: Run, nowhere: Path):
    assert stocked("attention", "list").out == "Nothing needs your attention.\n"
    with sqlite3.connect(nowhere / "data" / "keysat.db") as database:
        database.execute(
            "INSERT INTO attention (kind, subject, reason, called_at) VALUES ('test', 'x', 'Look!', '2026-01-01')"
        )
    database.close()
    [call] = stocked("attention", "list", "--json").json["items"]
    assert stocked("attention", "done", str(call["id"])).code == 0
    assert stocked("attention", "list").out == "Nothing needs your attention.\n"
    assert len(stocked("attention", "list", "--all", "--json").json["items"]) == 1


def test_the_audit_walks_the_whole_chain(stocked: Run, nowhere: Path):
    stocked("license", "issue", "aurora", "pro")
    assert "nothing was altered" in stocked("audit", "verify").out
    with sqlite3.connect(nowhere / "data" / "keysat.db") as database:
        database.execute("UPDATE events SET body = '{}' WHERE id = 2")
    database.close()
    told = stocked("audit", "verify")
    assert (told.code, told.out) == (1, "The chain of events is broken at position 2: event 2 was altered.\n")


def test_without_a_provider_the_list_says_so(house: Run):
    assert house("provider", "list").out == "No provider is connected yet.\n"
