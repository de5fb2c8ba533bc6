"""A PostgreSQL cluster of the tests' own: on a Unix socket, without fsync, thrown away at the end."""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import MetaData, create_mock_engine
from sqlalchemy.schema import CreateIndex, CreateTable

USER = "keysat"
T = TypeVar("T")


def find_postgres() -> Path | None:
    """The newest server Debian has installed, or one on the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda at: int(at.parent.name), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


# Two of the same mean that no test has changed the schema: each change leaves a row with a later transaction behind.
SCHEMA_AS_IT_STANDS = "SELECT " + " || ' ' || ".join(
    f"(SELECT count(*) || ':' || max(xmin::text::bigint) FROM {catalog})"
    for catalog in ("pg_class", "pg_attribute", "pg_constraint", "pg_index", "pg_namespace", "pg_proc", "pg_trigger")
)
TO_THEMSELVES = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2"
AS_NEW = """
DO $$ DECLARE one record; BEGIN
  FOR one IN SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_|^public$|^information_schema$'
    LOOP EXECUTE 'DROP SCHEMA ' || one.name || ' CASCADE'; END LOOP;  -- telemetry's
  SET LOCAL session_replication_role = replica;  -- no foreign key is asked
  FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    LOOP EXECUTE 'DELETE FROM ' || one.name; END LOOP;
  PERFORM setval(seqrelid, seqstart, false) FROM pg_sequence;
END $$
"""


@dataclass(frozen=True)
class Kept:
    """A database that the next test may have, once it is emptied."""

    name: str
    connection: asyncpg.Connection
    schema: str


class Cluster:
    """`start`, then one `database()` a test: a new one takes 300 ms, emptying the last test's takes 10."""

    def __init__(self, binaries: Path) -> None:
        self._bin = binaries
        self._home = Path(tempfile.mkdtemp(prefix="keysat-pg-"))
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1)
        self._free: list[Kept] = []

    def start(self) -> None:
        data = self._home / "data"
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._home, "nobody")
        self._run("initdb", "-A", "trust", "-N", "-U", USER, "-D", str(data), "-E", "UTF8", "--locale=C.UTF-8")
        options = (
            f"-c listen_addresses= -c unix_socket_directories={self._home} -c fsync=off -c synchronous_commit=off "
            "-c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB -c autovacuum=off"
        )
        self._run("pg_ctl", "-D", str(data), "-l", str(self._home / "log"), "-w", "-o", options, "start")

    def make_template(self, metadata: MetaData) -> None:
        self._sql("postgres", "CREATE DATABASE template_keysat")
        self._sql("template_keysat", schema_text(metadata))

    @contextmanager
    def database(self) -> Generator[str, None, None]:
        """URL of a database with the template's schema and no rows. One whose schema a test changes is thrown away."""
        kept = self._free.pop() if self._free else self._wait(self._make())
        try:
            yield self._url(kept.name)
        finally:
            if self._wait(self._empty(kept)):
                self._free.append(kept)
            else:
                self._sql("postgres", f"DROP DATABASE {kept.name} WITH (FORCE)")

    @contextmanager
    def empty_database(self) -> Generator[str, None, None]:
        name = f"e{next(self._numbers)}"
        self._sql("postgres", f"CREATE DATABASE {name}")
        try:
            yield self._url(name)
        finally:
            self._sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        for kept in self._free:
            self._wait(kept.connection.close())
        self._thread.shutdown()
        self._loop.close()
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"postgresql+asyncpg://{USER}@/{name}?host={self._home}"

    async def _make(self) -> Kept:
        name = f"t{next(self._numbers)}"
        await self._execute("postgres", f"CREATE DATABASE {name} TEMPLATE template_keysat")
        connection = await self._connect(name)
        return Kept(name, connection, str(await connection.fetchval(SCHEMA_AS_IT_STANDS)))

    async def _empty(self, kept: Kept) -> bool:
        """False when its schema is no longer the template's; the connection is closed then."""
        await kept.connection.fetch(TO_THEMSELVES, kept.name, kept.connection.get_server_pid())
        await kept.connection.execute(AS_NEW)
        if str(await kept.connection.fetchval(SCHEMA_AS_IT_STANDS)) == kept.schema:
            return True
        await kept.connection.close()
        return False

    def _wait(self, act: Coroutine[Any, Any, T]) -> T:
        """In a thread beside: who asks may stand in a loop of his own."""
        return self._thread.submit(self._loop.run_until_complete, act).result()

    def _sql(self, database: str, text: str) -> None:
        self._wait(self._execute(database, text))

    async def _execute(self, database: str, text: str) -> None:
        connection = await self._connect(database)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(host=str(self._home), user=USER, database=database)

    def _run(self, program: str, *arguments: str) -> None:
        as_nobody = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
        # Output goes to a file: pg_ctl's server inherits it and would keep a pipe open for ever.
        with tempfile.TemporaryFile() as told:
            done = subprocess.run(
                [*as_nobody, str(self._bin / program), *arguments],
                stdout=told,
                stderr=told,
                cwd=self._home,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            )
            if done.returncode:
                told.seek(0)
                raise RuntimeError(f"{program} failed: {told.read().decode(errors='replace')}")


def _forget(*_: object) -> None:
    """A mock engine wants to be told where its statements go."""


def schema_text(metadata: MetaData) -> str:
    """The schema as PostgreSQL's own words."""
    engine = create_mock_engine("postgresql+asyncpg://", _forget)
    lines: list[str] = []
    for table in metadata.sorted_tables:
        lines.append(str(CreateTable(table).compile(engine)))
        lines.extend(
            str(CreateIndex(index).compile(engine)) for index in sorted(table.indexes, key=lambda i: i.name or "")
        )
    return ";\n".join(lines) + ";"
