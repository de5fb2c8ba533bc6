import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keysat.upkeep.imports.source import moment, opened
from tests.conftest import NOON
from tests.upkeep.published import an_empty_one

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-06-01T10:00:00.123456789+00:00", datetime(2026, 6, 1, 10, 0, 0, 123456, UTC)),
        ("2026-06-01 10:00:00", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01T12:00:00+02:00", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-06-01T10:00:00Z", datetime(2026, 6, 1, 10, tzinfo=UTC)),
        ("2026-13-01T10:00:00Z", None),
        ("soon", None),
    ],
)
def test_both_kinds_of_dates_are_read(text: str, read: datetime | None) -> None:  # D-30
    assert moment(text) == read


def test_a_file_in_a_folder_that_cannot_be_written_to_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = an_empty_one(tmp_path / "licensing.db", NOON).path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")

    def refuse(_path: Path, _mode: int) -> bool:
        return False

    monkeypatch.setattr(os, "access", refuse)  # root may write anywhere but on a disk mounted to be read
    with opened(path) as source:
        assert (source.count("products"), list(tmp_path.iterdir())) == (0, [path])
