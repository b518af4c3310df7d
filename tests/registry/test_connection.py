"""Stores that can't be used say so."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nbmlops.core.errors import Corrupt, StorageError
from nbmlops.registry import Registry, connection, mlflow_door, moved
from nbmlops.registry.connection import Connection
from tests.registry.conftest import Fitted, open_registry


def broken(folder: Path, content: bytes) -> Connection:
    database = folder / "mlflow.db"
    database.write_bytes(content)
    return Connection(f"sqlite:///{database}", folder / "artifacts")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"this is no database at all" * 100, "is damaged.*Restore"),
        (b"SQLite format 3\x00", "damaged"),
    ],
)
def test_a_killed_database_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        _ = broken(tmp_path, content).client


def test_a_torn_database_is_named(registry: Registry, fitted: Fitted) -> None:
    registry.register(fitted.model, fitted.registration("flights"))
    database = registry.workspace.mlflow_db
    content = database.read_bytes()
    torn = bytearray(content)
    torn[4096 : len(torn) // 2] = b"\xff" * (len(torn) // 2 - 4096)
    moved_to = registry.workspace.root.parent / f"{registry.workspace.root.name}-torn"
    (moved_to / ".nbmlops").mkdir(parents=True)
    (moved_to / ".nbmlops" / "mlflow.db").write_bytes(bytes(torn))
    with pytest.raises((Corrupt, StorageError), match=r"damaged|can't be"):
        open_registry(moved_to).search()


def test_a_locked_database_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.names()
    monkeypatch.setattr(moved, "WAIT", 0.1)
    with closing(sqlite3.connect(registry.workspace.mlflow_db, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match=r"locked.*Close what else uses it"):
            moved.follow(registry.workspace.mlflow_db, registry.workspace.artifacts)
        other.execute("ROLLBACK")


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REACHED_WITHIN", 0.5)
    with pytest.raises(StorageError, match=r"server at http://127\.0\.0\.1:9 can't be reached.*MLFLOW_TRACKING_URI"):
        _ = Connection("http://127.0.0.1:9", tmp_path).client


def test_nothing_global_of_mlflow_changes(registry: Registry, fitted: Fitted) -> None:
    mlflow = mlflow_door.module()

    def state() -> list[object]:
        variables = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}
        return [mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run(), variables]

    before = state()
    registry.register(fitted.model, fitted.registration("flights"))
    registry.load("flights")
    registry.search("area=x")
    assert state() == before


def test_eight_threads_that_start_at_once_share_one_database(tmp_path: Path) -> None:
    registries = [open_registry(tmp_path) for _ in range(8)]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda r=r: found.append(r.names())) for r in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[]] * 8
