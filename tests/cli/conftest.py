"""The command line in this process: `run("order", "list")` as an operator would type it, in a folder of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from keysat.cli import main

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


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no settings but these."""
    monkeypatch.chdir(tmp_path)
    for name in ("KEYSAT_DATABASE_URL", "KEYSAT_DB_PATH", "KEYSAT_DATA_DIR", "KEYSAT_VAULT_KEY", "KEYSAT_LIMITS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEYSAT_ADMIN_API_KEY", ADMIN_KEY)
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
def house(run: Run) -> Run:
    """The same, with a live shop set up in ./data."""
    assert run("init").code == 0
    return run


@pytest.fixture
def stocked(house: Run, nowhere: Path) -> Run:
    """The same, with the demo's product."""
    import asyncio

    from keysat.demo import seed
    from keysat.infra.settings import load
    from keysat.kit.clock import SystemClock
    from keysat.kit.ids import SystemChance
    from keysat.upkeep.opening import open_shop

    async def stock() -> None:
        async with open_shop(load(data_dir=nowhere / "data"), clock=SystemClock(), chance=SystemChance()) as shop:
            await seed(shop)

    asyncio.run(stock())
    return house
