"""Backup, restore, export, and what is kept about a customer: as an operator types them."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.running import Program

PASSPHRASE = "correct horse battery staple"
MANY = 30_000  # so that a restore takes a while


def filled(database: Path, many: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO customers (id, name, created_at) VALUES (?, ?, '2026-01-15 12:00:00')",
            ((f"{number:032x}", "Ann " * 20) for number in range(many)),
        )


def test_a_restore_that_is_killed_leaves_nothing_and_is_repeated(house: Run, nowhere: Path):
    """Exit code 0 of the second one: the doctor has nothing to say either."""
    filled(nowhere / "data" / "keysat.db", MANY)
    (nowhere / "words").write_text(f"{PASSPHRASE}\n")
    made = house("backup", "--to", "shop.zip", "--passphrase-file", "words")
    assert made.code == 0, made.err
    files = (str(nowhere / "shop.zip"), "--passphrase-file", str(nowhere / "words"))
    command = ("restore", *files, "--data-dir", str(nowhere / "elsewhere"))
    killed = Program("keysat", *command, log=nowhere / "log")
    killed.start()
    log = nowhere / "elsewhere" / "keysat.db-wal"
    while not (log.exists() and log.stat().st_size > 1_000_000):
        assert killed.ended() is None, killed.output()
        time.sleep(0.005)
    killed.kill()
    assert "restored" not in killed.output()
    assert not (nowhere / "elsewhere" / "vault.key").exists()
    assert "no shop" in house("doctor", "--data-dir", "elsewhere").err

    again = house(*command)
    assert again.code == 0, again.out + again.err
    assert "stop the shop that it was copied from" in again.err
    with closing(sqlite3.connect(nowhere / "elsewhere" / "keysat.db")) as restored:
        assert restored.execute("SELECT count(*) FROM customers").fetchone() == (MANY,)
    assert "something in this database" in house(*command).err
    head = made.out.splitlines()[0].rpartition(" ")[2]
    told = house("audit", "verify", "--data-dir", "elsewhere", "--head", head)
    assert (told.code, "nothing was altered" in told.out) == (0, True)
    actions = [one["action"] for one in house("audit", "list", "--data-dir", "elsewhere", "--json").json["items"]]
    assert actions[:1] == ["shop.restored"]
    assert house("audit", "verify", "--head", f"{head[:-1]}{'0' if head[-1] != '0' else '1'}").code == 1


def test_a_backup_by_schedule_is_made_beside_the_daemon_the_old_ones_go_and_it_is_worth_something(
    house: Run, nowhere: Path, monkeypatch: pytest.MonkeyPatch
):
    (nowhere / "words").write_text(f"{PASSPHRASE}\n")
    folder = nowhere / "backups"
    folder.mkdir()
    monkeypatch.setenv("KEYSAT_BACKUP_DIR", str(folder))
    monkeypatch.setenv("KEYSAT_BACKUP_KEEP", "2")
    monkeypatch.setenv("KEYSAT_BACKUP_PASSPHRASE_FILE", str(nowhere / "words"))
    with closing(sqlite3.connect(nowhere / "data" / "keysat.db")) as database:
        [check] = database.execute("SELECT value FROM house WHERE name = 'vault_check'").fetchone()
    series, older = f"keysat-{check[:8]}", "20260101T120000Z.zip"
    others = {f"keysat-ffffffff-{older}", f"keysat-backup-{older}", f"{series}-20260102T120000Z.zip"}
    others |= {f"{series}-{year}0101T120000Z.zip" for year in (2098, 2099)}  # of a clock that was wrong for a while
    for name in (*others, f"{series}-{older}", f"{series}-2097{older[4:]}", f".{series}-{older}.abc.part"):
        (folder / name).touch()
    for _ in range(2):  # the second time it is not due
        assert house("job", "backup").code == 0
    [made] = [path for path in folder.iterdir() if path.name not in others]
    assert made.name.startswith(series)
    assert others < {path.name for path in folder.iterdir()}

    told = house("backup", "verify", str(made), "--passphrase-file", "words")
    assert (told.code, told.out.splitlines()[-1]) == (0, "All is well.")
    assert "Secrets that open with the vault key: 1.\n" in told.out
    taken = house("audit", "list", "--action", "shop.backed_up", "--json").json["items"]
    assert [one["actor"] for one in taken] == ["job:backup"]
    elsewhere = ("--data-dir", str(nowhere / "elsewhere"))
    assert house("restore", str(made), "--passphrase-file", "words", *elsewhere).code == 0
    kept = {path.name for path in folder.iterdir()}
    monkeypatch.setenv("KEYSAT_BACKUP_KEEP", "1")
    assert house("job", "backup", *elsewhere).code == 0  # at once: of the one it came from it knows no end
    assert kept < {path.name for path in folder.iterdir()}  # the copy takes nothing from the shop that it was made of
    with closing(sqlite3.connect(nowhere / "data" / "keysat.db")) as database:  # as where its disk is full
        database.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN INSERT INTO nowhere VALUES (1); END")
    told = house("backup", "--to", "whole.zip")
    assert (told.code, (nowhere / "whole.zip").is_file()) == (1, True)
    assert "whole.zip is complete" in told.err
    assert "no such table: main.nowhere" in told.err
    made.write_bytes(made.read_bytes()[:-1])
    (nowhere / "words").write_bytes(b"\xff\xfe")
    told = house("backup", "verify", str(made), "--passphrase-file", "words")
    assert (told.code, "no text in UTF-8" in told.err) == (1, True)
    told = house("backup", "verify", str(made))
    assert (told.code, "use another copy" in told.err) == (1, True)


def test_everything_is_exported_and_what_opens_something_is_not(stocked: Run, nowhere: Path):
    key = stocked("license", "issue", "aurora", "pro", "--email", "ann@example.org", "--json").json["key"]
    assert stocked("export").code == 0
    files = {path.stem: path.read_text() for path in (nowhere / "keysat-export").iterdir()}
    assert [json.loads(line)["email"] for line in files["customers"].splitlines()] == ["ann@example.org"]
    assert {"public_key", "key_id"} <= json.loads(files["issuer_keys"].splitlines()[0]).keys()
    whole = "".join(files.values())
    for word in ("_sealed", "_hash", '"hash"', "salt", "admin_key", key):
        assert word not in whole, word
    assert "choose another folder" in stocked("export").err


def test_a_customer_is_shown_what_is_kept_and_forgotten(stocked: Run):
    given = stocked("license", "issue", "aurora", "pro", "--email", "ann@example.org", "--json").json
    told = stocked("customer", "export", "Ann@example.org").json
    assert [row["id"] for row in told["tables"]["licenses"]] == [given["id"]]
    assert stocked("customer", "erase", "ann@example.org", "--yes").code == 0
    assert stocked("customer", "export", "ann@example.org").code == 1
    assert stocked("customer", "erase", told["customer_id"], "--yes").code == 0
    left = stocked("customer", "export", told["customer_id"])
    assert (left.json["tables"]["customers"][0]["email"], "ann@" in left.out) == (None, False)
    assert stocked("license", "show", given["id"], "--json").json["key"] == given["key"]
    assert stocked("doctor").code == 0
