"""What every test may ask for: a real database of its own, a clock that travels, and the shared specifications."""

import gc
import os
import shutil
import socket
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.kit.ids import SeededChance
from keysat.schema import metadata
from tests.postgres import Cluster, find_postgres

TESTER = Actor("test")
NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
MEMORY = Path("/dev/shm")
"""Where there is room, `tmp_path` is here: the databases wait for the disk at each commit, as a shop's does."""
MEMORY_BYTES_MIN = 2 * 1024**3


@pytest.fixture(scope="session", autouse=True)
def no_name_server() -> Generator[None, None, None]:
    """pytest-socket closes the network, but names would still be looked up in it."""
    asked = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host or "localhost"
        if text != "localhost":
            try:
                asked(host, None, flags=socket.AI_NUMERICHOST)
            except OSError as error:  # which the program would take for a name that there is not
                raise AssertionError(f"a test looks {text} up") from error
        return asked(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Generator[None, None, None]:
    """A daemon compiles a statement once. With an engine of its own, each test would compile all of its own again."""
    compiled = LRUCache[Any, Any](2000)

    def share(_dialect: type[DefaultDialect], engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=compiled)

    def number(dialect: DefaultDialect) -> int:  # it is part of each key of the cache
        return hash(type(dialect))

    def is_alike(one: DefaultDialect, other: object) -> bool:
        return type(one) is type(other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DefaultDialect, "engine_created", classmethod(share))
        patch.setattr(DefaultDialect, "__hash__", number)
        patch.setattr(DefaultDialect, "__eq__", is_alike)
        yield


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    settings.register_profile("keysat", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("keysat")  # how long an example takes says how busy the machine is
    config.addinivalue_line("markers", "once: does not depend on the kind of database; runs on SQLite alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        once = metafunc.definition.get_closest_marker("once")
        metafunc.parametrize("database_kind", ["sqlite"] if once else ["sqlite", "postgresql"], scope="function")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Specifications of other projects, kept beside the repository."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data with other projects' specifications is not here")
    return folder


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def curl() -> str:
    found = shutil.which("curl")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have curl: .ci/run installs it")
        pytest.skip("curl is not installed (Debian: apt-get install curl)")
    return found


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster, None, None]:
    binaries = find_postgres()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have PostgreSQL: .ci/run installs it")
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    cluster = Cluster(binaries)
    cluster.start()
    try:
        cluster.make_template(metadata)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str, None, None]:
    """A new database with the whole schema, of the kind that the test is run for."""
    if database_kind == "sqlite":
        path = tmp_path / "keysat.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        with cluster.database() as url:
            yield url


@pytest.fixture
async def store(database_url: str) -> AsyncGenerator[Store, None]:
    store = Store(database_url, SeededChance(1))
    yield store
    await store.close()


def pytest_collection_finish() -> None:
    """What the collection made stays for good: no garbage collection walks it in each test (a sixth of the time)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
