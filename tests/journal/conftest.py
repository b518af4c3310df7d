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
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from nbmlops.journal import Journal

PATIENCE = 60.0  # seconds that a server may take to start or stop


@dataclass(frozen=True)
class PostgresServer:
    """A running server that is reached through a Unix socket in `folder`."""

    process: subprocess.Popen[bytes]
    folder: Path
    user: str

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user=self.user, dbname=database, autocommit=True)

    def new_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"journal_{uuid.uuid4().hex}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{self.user}@/{name}?host={self.folder}"


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    assert on_path, "PostgreSQL is not installed: apt-get install postgresql"
    return Path(on_path).resolve().parent


def _server_user() -> str:
    """PostgreSQL refuses to run as root; any other user will do."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _start(folder: Path) -> PostgresServer:
    user, binaries = _server_user(), _binaries()
    shutil.chown(folder, user)
    as_user = {"user": user, "extra_groups": []} if os.getuid() == 0 else {}
    initdb = [binaries / "initdb", "-D", folder / "data", "-U", user, "-A", "trust", "--no-sync", "-E", "UTF8"]
    made = subprocess.run(initdb, capture_output=True, text=True, cwd="/", check=False, **as_user)  # type: ignore[call-overload]
    assert made.returncode == 0, made.stderr
    settings = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # type: ignore[call-overload]
            [binaries / "postgres", "-D", folder / "data", *settings], stdout=log, stderr=log, cwd="/", **as_user
        )
    return PostgresServer(process, folder, user)


def _wait(server: PostgresServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            log = (server.folder / "log").read_text()
            assert server.process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def new_postgres() -> Iterator[Callable[[], PostgresServer]]:
    """Start a server that this test may do anything to."""
    servers: list[PostgresServer] = []

    def start() -> PostgresServer:
        servers.append(_start(Path(tempfile.mkdtemp(prefix="nbpg-"))))
        _wait(servers[-1])
        return servers[-1]

    yield start
    for server in servers:
        _stop(server)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests; each takes a database of its own."""
    server = _start(Path(tempfile.mkdtemp(prefix="nbpg-")))
    try:
        _wait(server)
        yield server
    finally:
        _stop(server)


def _stop(server: PostgresServer) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGINT)  # end sessions, write everything, exit
    server.process.wait(PATIENCE)
    shutil.rmtree(server.folder)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.integration)])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def journal(journal_url: str, tmp_path: Path) -> Journal:
    """An empty journal on each kind of database."""
    return Journal(journal_url, tmp_path / "journal.head", source="/nbmlops/test")


@pytest.fixture
def sqlite_journal(tmp_path: Path) -> Journal:
    """An empty journal on SQLite."""
    return Journal(f"sqlite:///{tmp_path}/journal.db", tmp_path / "journal.head")
