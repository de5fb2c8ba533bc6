"""Accounts and keys from the command line, also when nobody can sign in any more."""

import re
import sys

import pytest

from tests.cli.conftest import Run


def test_init_makes_an_owner_and_others_follow(run: Run):
    told = run("init", "--owner", "Ada")
    assert re.search(r"^Ada can sign in on /admin with this password: [a-z2-7]{26}$", told.out, re.MULTILINE)
    assert "can sign in" not in run("init").out  # the second time there is nothing to do
    assert run("account", "add", "Bob", "--role", "support").code == 0
    assert run("account", "add", "bob").err == "keysat: There is an account of this name already.\n"
    for last in (("disable", "ada"), ("role", "ada", "support")):
        assert run("account", *last).err == "keysat: This is the last owner who can sign in: make another one first.\n"
    assert run("account", "role", "bob", "owner").out == "bob is owner.\n"
    assert run("account", "disable", "Ada").out == "Ada is disabled.\n"
    listed = run("account", "list", "--json").json["items"]
    assert [(one["name"], one["role"], one["disabled_at"] is None) for one in listed] == [
        ("Ada", "owner", False),
        ("Bob", "owner", True),
    ]
    assert run("account", "enable", "Ada").out == "Ada is enabled.\n"
    assert "with this password: " in run("account", "reset", "Ada").out
    assert run("account", "reset", "Eve").err == "keysat: There is no account 'Eve'.\n"
    assert "Bob" in run("account", "list").out
    address = run("account", "unlock", "ada").out.splitlines()[-1]
    assert re.fullmatch(r"http://localhost:8080/admin/login\?known=[\w-]+=*", address)


def test_a_password_can_be_typed(house: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["keysat.cli.account"], "typed_password", lambda: "a password of mine")
    assert house("account", "add", "Ada", "--ask").out == "Ada can sign in on /admin.\n"
    monkeypatch.setattr(sys.modules["keysat.cli.account"], "typed_password", lambda: "too short")
    assert house("account", "reset", "Ada", "--ask").err == "keysat: A password has 12 to 256 characters.\n"


def test_a_key_is_printed_once_listed_and_revoked(house: Run):
    made = house("api-key", "create", "CI", "--role", "support", "--expires", "2100-01-01", "--json").json
    assert re.fullmatch(r"ks_[\w-]{43}", made["token"])
    assert made["expires_at"] == "2100-01-01T00:00:00Z"
    listed = house("api-key", "list", "--json").json["items"]
    assert [(one["id"], "token" in one) for one in listed] == [(made["id"], False)]
    assert house("api-key", "revoke", made["id"]).out == "The key is revoked.\n"
    assert house("api-key", "revoke", made["id"]).out == "The key was revoked before.\n"
    wrong = house("api-key", "create", "CI", "--role", "support", "--scope", "rates:write")
    assert wrong.err == "keysat: Only these are granted one by one: payment_providers:write.\n"
    unknown = house("api-key", "create", "CI", "--role", "support", "--scope", "x")
    assert unknown.err == "keysat: There is no scope 'x'.\n"
