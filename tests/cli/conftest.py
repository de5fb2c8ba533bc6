"""The command line in this process: `run("order", "list")` as an operator would type it, in a folder of its own."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from keysat.cli import main
from keysat.demo import seed
from keysat.infra.settings import load
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.upkeep.opening import open_shop

ADMIN_KEY = "an-admin-key-of-the-tests-0123456789-0123"


@dataclass(frozen=True, slots=True)
class Told:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return msgspec.json.decode(self.out)


Run = Callable[..., Told]


def settle(patch: pytest.MonkeyPatch) -> None:
    """No settings but these."""
    for name in ("KEYSAT_DATABASE_URL", "KEYSAT_DB_PATH", "KEYSAT_DATA_DIR", "KEYSAT_VAULT_KEY", "KEYSAT_LIMITS"):
        patch.delenv(name, raising=False)
    patch.setenv("KEYSAT_ADMIN_API_KEY", ADMIN_KEY)


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data directories to copy, since setting one up takes longer than most commands: `house` and `stocked`."""
    folder = tmp_path_factory.mktemp("houses")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch)
        assert main(("init", "--data-dir", str(folder / "house"))) == 0
        shutil.copytree(folder / "house", folder / "stocked")
        settings = load(data_dir=folder / "stocked")

    async def stock() -> None:
        async with open_shop(settings, clock=SystemClock(), chance=SystemChance()) as shop:
            await seed(shop)

    asyncio.run(stock())
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    settle(monkeypatch)
    return tmp_path


@pytest.fixture
def run(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(*arguments: str) -> Told:
        capsys.readouterr()
        code = main(arguments)
        told = capsys.readouterr()
        return Told(code, told.out, told.err)

    return typed


@pytest.fixture
def house(run: Run, houses: Path, nowhere: Path) -> Run:
    """The same, with a live shop set up in ./data."""
    shutil.copytree(houses / "house", nowhere / "data")
    return run


@pytest.fixture
def stocked(run: Run, houses: Path, nowhere: Path) -> Run:
    """The same, with the demo's product."""
    shutil.copytree(houses / "stocked", nowhere / "data")
    return run
