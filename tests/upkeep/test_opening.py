from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from keysat.infra.house import Mode, fact
from keysat.infra.settings import load
from keysat.infra.vault import KEY_FILE
from keysat.kit.ids import SeededChance
from keysat.licenses.tables import IssuerKey
from keysat.operators import tokens
from keysat.upkeep.admin_key import ADMIN_KEY_HASH
from keysat.upkeep.doctor import violations
from keysat.upkeep.opening import CannotOpen, Founding, open_shop
from keysat.upkeep.shop import Shop
from keysat.upkeep.tills import refresh_tills
from tests.conftest import NOON, TESTER

Opens = Callable[..., AbstractAsyncContextManager[Shop]]
VAULT_KEY = "A" * 43


class Noon:
    def now(self):
        return NOON


@pytest.fixture
def shown() -> list[str]:
    """Admin keys that were shown."""
    return []


@pytest.fixture
def opens(empty_database_url: str, tmp_path: Path, shown: list[str]) -> Opens:
    """`opens(mode)` founds or opens; `opens(None)` only opens."""

    @asynccontextmanager
    async def opening(mode: Mode | None = Mode.LIVE, **settings: str) -> AsyncGenerator[Shop, None]:
        loaded = replace(load(settings, data_dir=tmp_path), database_url=empty_database_url)
        founding = Founding(mode, shown.append) if mode else None
        network = httpx.MockTransport(lambda _: httpx.Response(503))
        async with open_shop(
            loaded, clock=Noon(), chance=SeededChance(5), transport=network, founding=founding
        ) as shop:
            yield shop

    return opening


async def test_a_first_start_sets_up_all_that_a_shop_needs(opens: Opens, shown: list[str], tmp_path: Path):
    async with opens() as shop:
        assert shop.mode == Mode.LIVE
        assert shop.ring.signing.key_id
        assert shop.desk(shop.now(), TESTER).public_url == shop.settings.public_url
        async with shop.read() as read:
            assert await fact(read, ADMIN_KEY_HASH) == tokens.hashed(shown[0])
            assert await violations(read, shop.now()) == []
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


async def test_the_second_start_finds_everything_and_shows_no_key_again(opens: Opens, shown: list[str]):
    async with opens() as shop:
        first = shop.ring.signing.key_id
    async with opens() as shop:
        assert shop.ring.signing.key_id == first
        async with shop.read() as read:
            assert await read.session.scalar(select(func.count()).select_from(IssuerKey)) == 1
    assert len(shown) == 1


@pytest.mark.once
async def test_an_admin_key_in_the_settings_is_neither_made_nor_kept(opens: Opens, shown: list[str]):
    async with opens(KEYSAT_ADMIN_API_KEY="a" * 40) as shop, shop.read() as read:
        assert await fact(read, ADMIN_KEY_HASH) is None
    assert shown == []
    async with opens() as shop:  # the setting was taken away: now one is needed
        assert len(shown) == 1


@pytest.mark.once
async def test_a_shop_that_was_never_set_up_is_not_opened(opens: Opens):
    with pytest.raises(CannotOpen, match="keysat init"):
        async with opens(None):
            pass


@pytest.mark.once
async def test_the_mode_never_changes(opens: Opens):
    async with opens(Mode.SANDBOX):
        pass
    async with opens(Mode.LIVE) as shop:
        assert shop.mode == Mode.SANDBOX


@pytest.mark.once
async def test_limits_are_switched_off_in_a_sandbox_only(opens: Opens):
    with pytest.raises(CannotOpen, match="KEYSAT_LIMITS"):
        async with opens(Mode.LIVE, KEYSAT_LIMITS="off"):
            pass
    async with opens(Mode.SANDBOX, KEYSAT_LIMITS="off") as shop:
        assert shop.mode == Mode.SANDBOX


@pytest.mark.once
async def test_another_vault_key_is_refused(opens: Opens):
    async with opens():
        pass
    with pytest.raises(CannotOpen, match="KEYSAT_VAULT_KEY is not the vault key of this shop"):
        async with opens(KEYSAT_VAULT_KEY=VAULT_KEY):
            pass


@pytest.mark.once
async def test_a_lost_vault_key_is_not_replaced_by_a_new_one(opens: Opens, tmp_path: Path):
    async with opens():
        pass
    (tmp_path / KEY_FILE).unlink()
    with pytest.raises(CannotOpen, match="from your backup"):
        async with opens():
            pass
    assert not (tmp_path / KEY_FILE).exists()


@pytest.mark.once
async def test_a_vault_key_in_the_settings_leaves_no_file(opens: Opens, tmp_path: Path):
    async with opens(KEYSAT_VAULT_KEY=VAULT_KEY):
        pass
    assert not (tmp_path / KEY_FILE).exists()


@pytest.mark.once
async def test_a_folder_that_cannot_be_made_is_told_in_one_line(database_kind: str, tmp_path: Path):
    (tmp_path / "file").write_text("")
    settings = load({}, data_dir=tmp_path / "file" / "data")
    with pytest.raises(CannotOpen) as told:
        async with open_shop(
            settings, clock=Noon(), chance=SeededChance(5), founding=Founding(Mode.LIVE, lambda _: None)
        ):
            pass
    assert "\n" not in str(told.value)


@pytest.mark.once
async def test_a_file_that_is_no_database_is_told_in_one_line(opens: Opens, tmp_path: Path):
    (tmp_path / "keysat.db").write_bytes(b"not a database" * 100)
    with pytest.raises(CannotOpen, match=rf"The database {tmp_path}/keysat\.db cannot be opened: .+\.$"):
        async with opens():
            pass


async def test_a_database_server_that_is_away_is_told_in_one_line(tmp_path: Path):
    url = "postgresql+asyncpg://keysat:geheim@127.0.0.1:1/keysat"
    settings = load({"KEYSAT_DATABASE_URL": url}, data_dir=tmp_path)
    with pytest.raises(CannotOpen) as told:
        async with open_shop(
            settings, clock=Noon(), chance=SeededChance(5), founding=Founding(Mode.LIVE, lambda _: None)
        ):
            pass
    assert str(told.value).startswith("The database keysat at 127.0.0.1:1 cannot be reached: ")
    assert "\n" not in str(told.value)
    assert "geheim" not in str(told.value)


@pytest.mark.once
async def test_a_disk_that_refuses_is_told_with_its_file(opens: Opens, tmp_path: Path):
    (tmp_path / "keysat.db").mkdir()
    with pytest.raises(CannotOpen, match=rf"The shop in {tmp_path} cannot be opened: .+{tmp_path}/keysat\.db"):
        async with opens():
            pass


def open_up(folder: Path) -> None:
    (folder / "keysat.db-wal").touch()
    for path in folder.glob("*.db*"):
        path.chmod(0o644)


@pytest.mark.once
async def test_database_files_are_for_their_owner_alone_and_earlier_ones_are_mended(opens: Opens, tmp_path: Path):
    def loose() -> set[str]:
        return {path.name for path in tmp_path.glob("*.db*") if path.stat().st_mode & 0o077}

    async with opens() as shop:
        shop.telemetry.count("ok", None, NOON)
        await shop.telemetry.flush()
        assert loose() == set()
    open_up(tmp_path)
    assert loose() >= {"keysat.db", "keysat.db-wal", "telemetry.db"}
    async with opens(None):
        assert loose() == set()


@pytest.mark.once
async def test_without_connections_nobody_is_asked_for_rates_but_the_public_sources(opens: Opens):
    async with opens() as shop:
        before = shop.board.health()
        await refresh_tills(shop)
        assert shop.board.health() == before
