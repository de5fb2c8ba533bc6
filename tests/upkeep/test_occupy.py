from dataclasses import replace
from pathlib import Path

import pytest

from keysat.infra.settings import load
from keysat.upkeep.occupy import occupied
from keysat.upkeep.opening import CannotOpen


def test_a_folder_is_occupied_by_one_daemon_at_a_time(tmp_path: Path):
    settings = load({}, data_dir=tmp_path / "data")
    for _ in range(2):
        with (
            occupied(settings),
            pytest.raises(CannotOpen, match="stop it"),
            occupied(settings),
        ):
            pass


def test_daemons_that_share_a_server_are_told_to_take_a_folder_each(tmp_path: Path):
    settings = replace(load({}, data_dir=tmp_path), database_url="postgresql+asyncpg://keysat@db/keysat")
    with occupied(settings), pytest.raises(CannotOpen, match="want a folder each"), occupied(settings):
        pass
    with occupied(settings), occupied(replace(settings, data_dir=tmp_path / "other")):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    settings = load({}, data_dir=tmp_path / "file" / "data")
    with pytest.raises(CannotOpen, match="cannot be opened"), occupied(settings):
        pass
