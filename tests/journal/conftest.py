"""A journal on each database, and a PostgreSQL server of our own from Debian's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nbmlops.journal import Journal

PATIENCE = 60.0  # seconds that a server may take to start or stop


@dataclass
class PostgresServer:
    """A server of our own, reached through a Unix socket in its folder; listens on no port."""

    folder: Path
    user: str
    binaries: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        command = [self.binaries / "postgres", "-D", self.folder / "data", *settings]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_as(self.user))
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            log_text = (self.folder / "log").read_text()
            assert self.process.poll() is None, log_text
            assert time.monotonic() < deadline, log_text
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def crash(self) -> None:
        """End it at once, without a word to anybody."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(PATIENCE)

    def remove(self) -> None:
        """End it, and leave nothing behind."""
        self.crash()
        shutil.rmtree(self.folder)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user=self.user, dbname=database, autocommit=True)

    def new_database(self) -> str:
        """Return the name of a new, empty database."""
        name = f"journal_{uuid.uuid4().hex}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@/{database}?host={self.folder}"


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _server_user() -> str:
    """PostgreSQL refuses to run as root; any other user will do."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _as(user: str) -> dict[str, Any]:
    return {"user": user, "extra_groups": []} if os.getuid() == 0 else {}


@contextmanager
def _server(need: Callable[[str, bool], None]) -> Iterator[PostgresServer]:
    binaries = _binaries()
    need("postgresql", binaries is not None)
    assert binaries is not None
    folder, user = Path(tempfile.mkdtemp(prefix="nbpg-")), _server_user()
    shutil.chown(folder, user)
    server = PostgresServer(folder, user, binaries)
    initdb = [binaries / "initdb", "-D", folder / "data", "-U", user, "-A", "trust", "--no-sync", "-E", "UTF8"]
    try:
        made = subprocess.run(initdb, capture_output=True, text=True, cwd="/", check=False, **_as(user))
        assert made.returncode == 0, made.stderr
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres(debian: Callable[[str, bool], None]) -> Iterator[PostgresServer]:
    """One server for all tests; each takes a database of its own."""
    with _server(debian) as server:
        yield server


@pytest.fixture
def own_postgres(debian: Callable[[str, bool], None]) -> Iterator[PostgresServer]:
    """A server that this test may do anything to."""
    with _server(debian) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.new_database())


@pytest.fixture
def journal(journal_url: str, tmp_path: Path) -> Journal:
    """An empty journal on each kind of database."""
    return Journal(journal_url, tmp_path / "journal.head", source="/nbmlops/test")


@pytest.fixture
def sqlite_journal(tmp_path: Path) -> Journal:
    """An empty journal on SQLite."""
    return Journal(f"sqlite:///{tmp_path}/journal.db", tmp_path / "journal.head")
