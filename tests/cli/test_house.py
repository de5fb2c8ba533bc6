import sqlite3
from pathlib import Path

import pytest

from keysat.infra.vault import KEY_FILE
from tests.cli.conftest import Run


def test_a_shop_is_set_up_once_and_for_one_mode(run: Run):
    done = "A sandbox shop is set up in data. Start it with `keysat serve`.\n"
    assert run("init", "--sandbox").out.endswith(done)
    assert run("init", "--sandbox").out == done
    again = run("init")
    assert (again.code, again.out) == (1, "")
    assert again.err == "keysat: There is a sandbox shop in data already: choose another folder.\n"


def test_the_admin_key_is_shown_once(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KEYSAT_ADMIN_API_KEY")
    assert "Admin key: ks_" in run("init").out
    assert "Admin key" not in run("init").out


@pytest.mark.parametrize(
    "words", [("order", "list"), ("doctor",), ("key", "list"), ("audit", "verify"), ("job", "look")]
)
def test_without_a_shop_one_line_says_what_to_do(run: Run, nowhere: Path, words: tuple[str, ...]):
    told = run(*words)
    assert (told.code, told.out) == (1, "")
    assert told.err == "keysat: There is no shop in data yet: run `keysat init` or `keysat demo` first.\n"
    assert list(nowhere.iterdir()) == []


def test_every_wrong_setting_is_told(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEYSAT_BIND", "everywhere")
    monkeypatch.setenv("KEYSAT_LIMITS", "perhaps")
    told = run("serve")
    assert told.code == 1
    assert [line.split()[0] for line in told.err.removeprefix("keysat: ").splitlines()] == [
        "KEYSAT_BIND",
        "KEYSAT_LIMITS",
    ]


def test_serve_refuses_a_wrong_vault_key(house: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEYSAT_VAULT_KEY", "A" * 43)
    told = house("serve", "--port", "0")
    assert (told.code, told.err) == (
        1,
        "keysat: KEYSAT_VAULT_KEY is not the vault key of this shop: put the right one back.\n",
    )


def test_serve_refuses_a_database_of_a_newer_major_schema(house: Run, nowhere: Path):
    with sqlite3.connect(nowhere / "data" / "keysat.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '2_0001'")
    database.close()
    told = house("serve", "--port", "0")
    assert told.code == 1
    assert told.err.startswith("keysat: The database was written by a newer Keysat (schema 2_0001")
    assert told.err.count("\n") == 1


def test_the_demo_keeps_away_from_a_live_shop(house: Run):
    told = house("demo", "--data-dir", "data", "--port", "0")
    assert (told.code, told.out) == (1, "")
    assert "holds a live shop" in told.err


def test_migrate_says_what_it_did(run: Run):
    assert "from nothing to 1_" in run("migrate").out
    assert "there is nothing to do" in run("migrate").out


def test_the_doctor_says_what_keeps_a_healthy_shop_from_selling(stocked: Run):
    assert stocked("job", "seal").out == "seal: done.\n"
    told = stocked("doctor")
    assert told.code == 0
    assert [line.split(":")[:2] for line in told.out.splitlines()] == [
        ["Warning", " No payment provider is connected"],
        ["Warning", " KEYSAT_PUBLIC_URL is not set"],
    ]
    as_json = stocked("doctor", "--json").json
    assert (as_json["ok"], as_json["violations"], len(as_json["warnings"])) == (True, [], 2)


def test_the_doctor_names_what_is_wrong(stocked: Run, nowhere: Path):
    stocked("license", "issue", "aurora", "pro")
    with sqlite3.connect(nowhere / "data" / "keysat.db") as database:
        database.execute("UPDATE licenses SET seats_taken = 9")
    database.close()
    told = stocked("doctor")
    assert told.code == 1
    assert "more seats are taken than it has" in told.out


def test_a_lost_vault_key_is_asked_for(house: Run, nowhere: Path):
    (nowhere / "data" / KEY_FILE).unlink()
    assert "from your backup" in house("key", "list").err


def test_a_demo_is_put_forward_and_a_live_shop_is_not(house: Run, nowhere: Path):
    assert house("init", "--sandbox", "--data-dir", "play").code == 0
    assert house("demo", "--fast-forward", "31d", "--data-dir", "play").out.startswith("It is ")
    told = house("demo", "--fast-forward", "31d", "--data-dir", "data")
    assert (told.code, told.err) == (1, "keysat: This is a live shop: its time is everybody's.\n")
    assert "is no span of time" in house("demo", "--fast-forward", "soon", "--data-dir", "play").err
    (nowhere / "play" / "clock-offset").write_text(f"{900 * 365 * 86_400}\n")
    assert "up to the year 2999" in house("demo", "--fast-forward", "99999d", "--data-dir", "play").err


def test_a_demo_is_found_in_its_folder_whatever_database_the_surroundings_name(
    house: Run, nowhere: Path, monkeypatch: pytest.MonkeyPatch
):
    house("init", "--sandbox", "--data-dir", "play")
    monkeypatch.setenv("KEYSAT_DATABASE_URL", f"sqlite+aiosqlite:///{nowhere / 'play' / 'keysat.db'}")
    told = house("demo", "--fast-forward", "31d", "--data-dir", "data")
    assert told.code == 1
    assert "This is a live shop" in told.err
