from dataclasses import replace
from pathlib import Path

import pytest

from keysat.infra.settings import load
from keysat.upkeep.occupy import LOCK_FILE, as_served, occupied
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


def test_a_command_knows_the_address_of_the_daemon_that_runs_in_its_folder_or_ran_last(tmp_path: Path):
    named, unset = {"KEYSAT_PUBLIC_URL": "https://shop.test"}, load({}, data_dir=tmp_path)
    assert as_served(unset) == unset
    for environ, port, url in (({}, 8123, "http://localhost:8123"), (named, None, "https://shop.test")):
        with occupied(load(environ, data_dir=tmp_path, port=port)):
            assert as_served(unset).public_url == url
        assert as_served(unset).public_url == url
    with occupied(unset):
        assert as_served(load(named, data_dir=tmp_path)).public_url == "https://shop.test"
    for broken in (b"", b"\0" * 21, b"\xff", b"http://", b"shop"):  # as a power cut may leave it
        (tmp_path / LOCK_FILE).write_bytes(broken)
        assert as_served(unset) == unset


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
