"""A PostgreSQL cluster of the tests' own: on a Unix socket, without fsync, thrown away at the end."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import MetaData, create_mock_engine
from sqlalchemy.schema import CreateIndex, CreateTable

USER = "keysat"


def find_postgres() -> Path | None:
    """The newest server Debian has installed, or one on the PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda at: int(at.parent.name), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


class Cluster:
    """`start`, then one `database()` a test, copied from a template in some 75 ms."""

    def __init__(self, binaries: Path) -> None:
        self._bin = binaries
        self._home = Path(tempfile.mkdtemp(prefix="keysat-pg-"))
        self._numbers = itertools.count(1)

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
        """URL of a new database with the template's schema."""
        name = f"t{next(self._numbers)}"
        self._sql("postgres", f"CREATE DATABASE {name} TEMPLATE template_keysat")
        try:
            yield f"postgresql+asyncpg://{USER}@/{name}?host={self._home}"
        finally:
            self._sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def empty_database(self) -> Generator[str, None, None]:
        name = f"e{next(self._numbers)}"
        self._sql("postgres", f"CREATE DATABASE {name}")
        try:
            yield f"postgresql+asyncpg://{USER}@/{name}?host={self._home}"
        finally:
            self._sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home, ignore_errors=True)

    def _sql(self, database: str, text: str) -> None:
        self._run(
            "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self._home), "-U", USER, "-d", database, stdin=text
        )

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        as_nobody = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
        # Output goes to a file: pg_ctl's server inherits it and would keep a pipe open for ever.
        with tempfile.TemporaryFile() as told:
            done = subprocess.run(
                [*as_nobody, str(self._bin / program), *arguments],
                input=stdin.encode(),
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
