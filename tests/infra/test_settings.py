"""The environment is parsed once, completely, and without telling secrets."""

import base64
import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from keysat.infra.setting_values import Secret, Smtp, key_bytes
from keysat.infra.settings import KEYSAT_NAMES, Backups, Settings, SettingsErrors, handed_on, load, surroundings

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


def refused(environ: Mapping[str, str]) -> list[str]:
    """The lines an operator reads."""
    with pytest.raises(SettingsErrors) as caught:
        load(environ)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.errors)
    return lines


def test_nothing_set_is_a_working_shop_on_this_machine():
    settings = load({})
    assert settings.data_dir == Path("data")
    assert settings.database_url == "sqlite+aiosqlite:///data/keysat.db"
    assert (settings.bind_host, settings.bind_port) == ("0.0.0.0", 8080)
    assert (settings.public_url, settings.public_url_is_default) == ("http://localhost:8080", True)
    assert (settings.trusted_proxies, settings.smtp, settings.mail_from, settings.btcpay) == ((), None, None, None)
    assert (settings.vault_key, settings.admin_api_key, settings.license) == (None, None, None)
    assert not settings.sandbox_mode
    assert not settings.limits_off
    assert settings.log_level == "info"
    assert ["KEYSAT_PUBLIC_URL" in warning for warning in settings.warnings] == [True]


def test_empty_text_is_as_good_as_unset():
    names = KEYSAT_NAMES | {"BTCPAY_URL", "BTCPAY_API_KEY", "BTCPAY_STORE_ID", "BTCPAY_BROWSER_URL"}
    assert load(dict.fromkeys(names, "")) == load({})
    assert load(dict.fromkeys(names, "  ")) == load({})


def test_the_command_line_wins(tmp_path: Path):
    environ = {"KEYSAT_DATA_DIR": "/elsewhere", "KEYSAT_BIND": "127.0.0.1:9000"}
    settings = load(environ, data_dir=tmp_path, port=9001)
    assert settings.data_dir == tmp_path
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/keysat.db"
    assert (settings.bind_host, settings.bind_port) == ("127.0.0.1", 9001)
    assert settings.public_url == "http://localhost:9001"


def test_the_old_names_still_count_and_the_new_ones_win():
    old = {
        "LICENSING_BIND": "127.0.0.1:1",
        "LICENSING_OPERATOR_NAME": "Old",
        "LICENSING_PUBLIC_URL": "https://old.example/",
    }
    assert load(old).bind_port == 1
    assert load(old).operator_name == "Old"
    assert load(old).public_url == "https://old.example"
    assert load(old | {"KEYSAT_OPERATOR_NAME": "New"}).operator_name == "New"
    assert load(old | {"KEYSAT_OPERATOR_NAME": ""}).operator_name == "Old"
    assert refused({"LICENSING_BIND": "x"})[0].startswith("LICENSING_BIND ")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite+aiosqlite:////data/keysat.db", "sqlite+aiosqlite:////data/keysat.db"),
        ("sqlite:////data/keysat.db", "sqlite+aiosqlite:////data/keysat.db"),
        ("postgresql://u:p@db/keysat", "postgresql+asyncpg://u:p@db/keysat"),
        ("postgres://u:p@db/keysat", "postgresql+asyncpg://u:p@db/keysat"),
        ("postgresql+asyncpg://u:p@db:5433/keysat", "postgresql+asyncpg://u:p@db:5433/keysat"),
        ("postgresql://u@/keysat?host=/run/postgresql", "postgresql+asyncpg://u@/keysat?host=/run/postgresql"),
    ],
)
def test_database_urls_get_the_right_driver(written: str, read: str):
    assert load({"KEYSAT_DATABASE_URL": written}).database_url == read


@pytest.mark.parametrize(
    "written",
    [
        "mysql://u:hunter2@db/keysat",
        "keysat.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "postgresql://u:hunter2@db",
        "postgresql:///x",
    ],
)
def test_other_databases_are_refused_without_telling_the_password(written: str):
    [line] = refused({"KEYSAT_DATABASE_URL": written})
    assert line.startswith("KEYSAT_DATABASE_URL ")
    assert "hunter2" not in line


def test_a_database_file_alone_says_where_the_data_is():
    settings = load({"KEYSAT_DB_PATH": "/data/keysat.db"})
    assert settings.database_url == "sqlite+aiosqlite:////data/keysat.db"
    assert settings.data_dir == Path("/data")
    assert load({"KEYSAT_DB_PATH": "/data/keysat.db", "KEYSAT_DATA_DIR": "/keys"}).data_dir == Path("/keys")


def test_two_names_for_one_database_are_fine_and_for_two_are_not():
    same = {"KEYSAT_DB_PATH": "/data/../data/keysat.db", "KEYSAT_DATABASE_URL": "sqlite:////data/keysat.db"}
    assert load(same).database_url == "sqlite+aiosqlite:////data/keysat.db"
    [line] = refused(same | {"KEYSAT_DATABASE_URL": "postgresql://u:hunter2@db/keysat"})
    assert "KEYSAT_DB_PATH" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [("[::]:8080", "::", 8080), ("127.0.0.1:0", "127.0.0.1", 0), ("localhost:65535", "localhost", 65535)],
)
def test_addresses_to_listen_on(written: str, host: str, port: int):
    settings = load({"KEYSAT_BIND": written})
    assert (settings.bind_host, settings.bind_port) == (host, port)


@pytest.mark.parametrize(
    "written", ["8080", "0.0.0.0", ":8080", "::1:80", "a:65536", "a:-1", "a:٣", "http://a:80", "a b:80"]
)
def test_what_is_no_address_is_refused_with_an_example(written: str):
    [line] = refused({"KEYSAT_BIND": written})
    assert "0.0.0.0:8080" in line


def test_the_public_url_loses_its_slash():
    settings = load({"KEYSAT_PUBLIC_URL": "https://Keys.Example.org:8443/"})
    assert (settings.public_url, settings.public_url_is_default) == ("https://keys.example.org:8443", False)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    "written",
    [
        "keys.example.org",
        "ftp://a",
        "https://",
        "https://a/path",
        "https://a?x=1",
        "https://a/#f",
        "https://u:p@a",
        "https://a:x",
        "https://a b",
    ],
)
def test_public_urls_that_no_buyer_could_follow_are_refused(written: str):
    [line] = refused({"KEYSAT_PUBLIC_URL": written})
    assert line.startswith("KEYSAT_PUBLIC_URL ")


def test_trusted_proxies_are_networks():
    written = "10.0.0.1/8, 127.0.0.1,fd00::/8,"
    assert load({"KEYSAT_TRUSTED_PROXIES": written}).trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("127.0.0.1"),
        ip_network("fd00::/8"),
    )
    assert "10.0.0.0/8" in refused({"KEYSAT_TRUSTED_PROXIES": "*"})[0]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("smtp://mail.example.org", Smtp(host="mail.example.org", port=587)),
        ("smtp://127.0.0.1:2525?starttls=off", Smtp(host="127.0.0.1", port=2525, starttls=False)),
        ("smtp://a:b@localhost", Smtp(host="localhost", port=587, username="a", password=Secret("b"))),
        (
            "smtp://a:b@mail.example.org",
            Smtp(host="mail.example.org", port=587, username="a", password=Secret("b"), starttls=True),
        ),
        (
            "smtps://me%40example.org:p%2F%3A%40%25@mail.example.org",
            Smtp(host="mail.example.org", port=465, username="me@example.org", password=Secret("p/:@%"), tls=True),
        ),
    ],
)
def test_mail_servers(written: str, read: Smtp):
    settings = load({"KEYSAT_SMTP_URL": written, "KEYSAT_MAIL_FROM": "Our Shop <keys@example.org>"})
    assert settings.smtp == read
    assert settings.mail_from is not None
    assert (settings.mail_from.display_name, settings.mail_from.addr_spec) == ("Our Shop", "keys@example.org")


@pytest.mark.parametrize(
    "written",
    [
        "mail.example.org:25",
        "http://me:hunter2@mail.example.org",
        "smtp://me:hunter2@",
        "smtp://me:hunter2@mail:port",
        "smtp://hunter2@mail",
        "smtp://me:hunter2@mail/box",
        "smtp://me:hunter2@mail?ssl=on",
        "smtp://me:hunter2@mail?starttls",
        "smtp://me:hunter2@mail?starttls=maybe",
        "smtps://me:hunter2@mail?starttls=on",
    ],
)
def test_mail_servers_that_are_none_are_refused_without_telling_the_password(written: str):
    [line] = refused({"KEYSAT_SMTP_URL": written, "KEYSAT_MAIL_FROM": "keys@example.org"})
    assert line.startswith("KEYSAT_SMTP_URL ")
    assert "hunter2" not in line


@pytest.mark.parametrize("written", ["keys", "keys@", "@example.org", "a@b, c@d", "a@b\r\nBcc: c@d"])
def test_a_sender_is_one_address(written: str):
    [line] = refused({"KEYSAT_SMTP_URL": "smtp://mail", "KEYSAT_MAIL_FROM": written})
    assert line.startswith("KEYSAT_MAIL_FROM ")


def test_a_server_needs_a_sender_and_a_sender_alone_is_a_warning():
    assert refused({"KEYSAT_SMTP_URL": "smtp://mail"})[0].startswith("KEYSAT_MAIL_FROM is missing")
    assert any("KEYSAT_MAIL_FROM" in line for line in load({"KEYSAT_MAIL_FROM": "a@b.example"}).warnings)


@pytest.mark.parametrize("written", [KEY, KEY.rstrip("="), base64.b64encode(bytes(range(32))).decode()])
def test_the_vault_key_is_32_bytes(written: str):
    settings = load({"KEYSAT_VAULT_KEY": written})
    assert settings.vault_key is not None
    assert key_bytes(settings.vault_key.reveal()) == bytes(range(32))


@pytest.mark.parametrize("written", [KEY[:20], KEY + "AAAA", "!" * 43, "x" * 43 + "ä"])
def test_vault_keys_that_are_none_are_refused_and_not_shown(written: str):
    [line] = refused({"KEYSAT_VAULT_KEY": written})
    assert "openssl rand" in line
    assert written not in line


def test_a_short_admin_key_is_refused_and_not_shown():
    [line] = refused({"KEYSAT_ADMIN_API_KEY": "x" * 31})
    assert "xxx" not in line
    assert load({"KEYSAT_ADMIN_API_KEY": "x" * 32}).admin_api_key == Secret("x" * 32)


def test_btcpay_is_all_or_none():
    full = {"BTCPAY_URL": "http://btcpayserver.embassy:23000/", "BTCPAY_API_KEY": "key", "BTCPAY_STORE_ID": "store"}
    btcpay = load(full).btcpay
    assert btcpay is not None
    assert (btcpay.url, btcpay.api_key.reveal(), btcpay.store_id) == (
        "http://btcpayserver.embassy:23000",
        "key",
        "store",
    )
    for name in full:
        assert refused(full | {name: ""})[0].startswith(f"{name} is missing")
    assert len(refused({"BTCPAY_API_KEY": "key"})) == 2


def test_the_address_of_btcpay_alone_is_where_it_is_connected_by_a_click():
    settings = load({"BTCPAY_URL": "https://pay.example.org", "BTCPAY_BROWSER_URL": "https://pay.local/btcpay/"})
    assert settings.btcpay is None
    assert settings.btcpay_url == "https://pay.example.org"
    assert settings.btcpay_browser_url == "https://pay.local/btcpay"


@pytest.mark.parametrize("written", ["1", "true", "YES", "On"])
def test_switches_go_on(written: str):
    assert load({"KEYSAT_SANDBOX_MODE": written}).sandbox_mode


@pytest.mark.parametrize("name", ["KEYSAT_SANDBOX_MODE", "BTCPAY_WEBHOOK_SECRET"])
def test_a_setting_that_does_nothing_says_so(name: str):
    settings = load({"KEYSAT_PUBLIC_URL": "https://shop.example.org", name: "on"})
    [line] = settings.warnings
    assert line.startswith(f"{name} ")


def test_switches_and_choices_refuse_what_they_do_not_know():
    assert not load({"KEYSAT_SANDBOX_MODE": "off"}).sandbox_mode
    assert load({"KEYSAT_LIMITS": "off"}).limits_off
    assert not load({"KEYSAT_LIMITS": "on"}).limits_off
    assert load({"KEYSAT_LOG_FORMAT": "JSON"}).log_format == "json"
    for name in ("KEYSAT_SANDBOX_MODE", "KEYSAT_LIMITS", "KEYSAT_LOG_LEVEL", "KEYSAT_LOG_FORMAT"):
        assert refused({name: "maybe"})[0].startswith(f"{name} ")
    assert refused({"KEYSAT_LIMITS": "0"})


def test_all_that_is_wrong_is_said_at_once():
    lines = refused({"KEYSAT_BIND": "x", "KEYSAT_PUBLIC_URL": "x", "KEYSAT_LIMITS": "x", "KEYSAT_ADMIN_API_KEY": "x"})
    assert sorted(line.split()[0] for line in lines) == [
        "KEYSAT_ADMIN_API_KEY",
        "KEYSAT_BIND",
        "KEYSAT_LIMITS",
        "KEYSAT_PUBLIC_URL",
    ]
    assert all(line.endswith(".") for line in lines)


def test_a_misspelt_name_is_pointed_out():
    warnings = load({"KEYSAT_PUBLIC_ULR": "https://a.example", "PATH": "/bin"}).warnings
    assert "KEYSAT_PUBLIC_ULR is not a setting. Did you mean KEYSAT_PUBLIC_URL?" in warnings
    assert len(warnings) == 2


@pytest.mark.parametrize("name", ["KEYSAT_TYPO", "KEYSAT_PORT", "KEYSAT_HOST", "KEYSAT_X"])
def test_a_name_that_resembles_none_is_not_guessed_at(name: str):
    assert f"{name} is not a setting." in load({name: "1"}).warnings


def full_settings() -> Settings:
    return load(
        {
            "KEYSAT_DATABASE_URL": "postgresql://u:hunter2@db/keysat",
            "KEYSAT_SMTP_URL": "smtps://u:hunter2@mail",
            "KEYSAT_MAIL_FROM": "keys@example.org",
            "KEYSAT_VAULT_KEY": KEY,
            "KEYSAT_ADMIN_API_KEY": "hunter2" * 8,
            "KEYSAT_LICENSE": "LIC1-hunter2",
            "BTCPAY_URL": "https://pay.example.org",
            "BTCPAY_API_KEY": "hunter2",
            "BTCPAY_STORE_ID": "store",
            "BTCPAY_WEBHOOK_SECRET": "hunter2",
        }
    )


def test_no_secret_shows_in_the_settings():
    settings = full_settings()
    shown = f"{settings!r} {settings} {settings.smtp} {settings.btcpay} {settings.admin_api_key:}"
    assert "hunter2" not in shown
    assert KEY[:8] not in shown
    fields = dataclasses.asdict(settings)
    fields.pop("database_url")
    assert "hunter2" not in repr(fields)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings.admin_api_key)


def test_secrets_are_equal_by_value_alone():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / ".env"
    file.write_text(
        "KEYSAT_OPERATOR_NAME='The $HOME Shop'\nKEYSAT_BIND=127.0.0.1:1\nexport KEYSAT_LIMITS=off # bench\n"
    )
    monkeypatch.setenv("KEYSAT_BIND", "127.0.0.1:2")
    monkeypatch.setenv("KEYSAT_LIMITS", "")
    found = surroundings(file)
    assert found["KEYSAT_OPERATOR_NAME"] == "The $HOME Shop"
    assert found["KEYSAT_BIND"] == "127.0.0.1:2"
    assert found["KEYSAT_LIMITS"] == "off"
    monkeypatch.chdir(tmp_path)
    assert load().operator_name == "The $HOME Shop"
    monkeypatch.chdir(tmp_path.parent)
    assert load().bind_port == 2


@pytest.mark.parametrize(
    ("written", "words", "href"),
    [
        ("help@example.org", "help@example.org", "mailto:help@example.org"),
        ("Our Shop <help@example.org>", "help@example.org", "mailto:help@example.org"),
        ("a?b&c@example.org", "a?b&c@example.org", "mailto:a%3Fb%26c@example.org"),
        ("https://example.org/contact?from=shop", *["https://example.org/contact?from=shop"] * 2),
    ],
)
def test_buyers_write_to_an_address_or_on_a_page(written: str, words: str, href: str):
    found = load({"KEYSAT_OPERATOR_CONTACT": written}).operator_contact
    assert found is not None
    assert (found.words, found.href) == (words, href)


@pytest.mark.parametrize(
    "written", ["javascript:alert(1)", "call me", "https://", "https://u:hunter2@example.org", "@x"]
)
def test_a_contact_that_nobody_can_follow_is_refused(written: str):
    [line] = refused({"KEYSAT_OPERATOR_CONTACT": written})
    assert line.startswith("KEYSAT_OPERATOR_CONTACT ")
    assert "hunter2" not in line


def test_backups_are_made_where_a_folder_is_named():
    assert load({}).backups is None
    plain = load({"KEYSAT_BACKUP_DIR": "/backups"}).backups
    assert plain == Backups(folder=Path("/backups"), every=timedelta(hours=24), keep=14, passphrase_file=None)
    words = {"KEYSAT_BACKUP_HOURS": "6", "KEYSAT_BACKUP_KEEP": "3", "KEYSAT_BACKUP_PASSPHRASE_FILE": "/words"}
    own = load({"KEYSAT_BACKUP_DIR": "/backups"} | words).backups
    assert own == Backups(folder=Path("/backups"), every=timedelta(hours=6), keep=3, passphrase_file=Path("/words"))
    assert [line.split()[0] for line in load(words).warnings[1:]] == [*words]
    for number in ("0", "-1", "1.5", "9999999999", "x"):
        [line] = refused({"KEYSAT_BACKUP_HOURS": number})
        assert line == f"KEYSAT_BACKUP_HOURS is {number!r}: write a whole number from 1 to 8760."


def test_a_child_process_opens_the_same_shop(tmp_path: Path):
    settings = load({"KEYSAT_VAULT_KEY": KEY, "KEYSAT_DB_PATH": str(tmp_path / "other.db")}, data_dir=tmp_path)
    again = load({name: text for name, text in handed_on(settings).items() if name.startswith("KEYSAT_")})
    assert (again.data_dir, again.database_url) == (settings.data_dir, settings.database_url)
    assert again.vault_key == settings.vault_key
