from pathlib import Path

from keysat.infra.private import make_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_database_is_made_for_its_owner_alone(tmp_path: Path):
    make_private(tmp_path / "a.db")
    assert mode(tmp_path / "a.db") == 0o600


def test_an_open_one_is_closed_with_what_stands_beside_it_and_is_not_emptied(tmp_path: Path):
    for name in ("a.db", "a.db-wal", "a.db-shm"):
        (tmp_path / name).write_text("kept")
        (tmp_path / name).chmod(0o644)
    make_private(tmp_path / "a.db")
    assert {(mode(path), path.read_text()) for path in tmp_path.iterdir()} == {(0o600, "kept")}
