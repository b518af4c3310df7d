"""A workspace that was moved or copied."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nbmlops.core.errors import Corrupt, StorageError
from nbmlops.registry import moved, template
from tests.registry.conftest import Fitted, open_registry


def test_a_moved_workspace_loads_and_registers(tmp_path: Path, fitted: Fitted) -> None:
    before = open_registry(tmp_path / "before")
    made = before.register(fitted.model, fitted.registration("flights"))
    (tmp_path / "before").rename(tmp_path / "after it")
    after = open_registry(tmp_path / "after it")
    assert after.load("flights").classes_.tolist() == [0, 1]
    assert after.reference("flights") is not None
    assert after.version("flights").digest == made.digest
    assert after.version("flights").uri.startswith(str(tmp_path / "after it"))
    assert after.register(fitted.model, fitted.registration("flights")).version == 2
    assert not (tmp_path / "before").exists()


def locations(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT artifact_location FROM experiments ORDER BY 1")]


def workspace_at(folder: Path, others: tuple[str, ...] = ()) -> tuple[Path, Path]:
    artifacts = folder / ".nbmlops" / "artifacts"
    artifacts.mkdir(parents=True)
    database = artifacts.parent / "mlflow.db"
    template.create(database, artifacts)
    with closing(sqlite3.connect(database)) as connection:
        for number, place in enumerate([str(artifacts), *others], 1):
            connection.execute(
                "INSERT INTO experiments VALUES (?, ?, ?, 'active', 0, 0, 'default')", (number, number, place)
            )
        connection.commit()
    return database, artifacts


def test_only_paths_of_the_workspace_follow(tmp_path: Path) -> None:
    elsewhere = ("s3://bucket/artifacts", f"{tmp_path}/old/.nbmlops/artifacts-of-mine/1")
    workspace_at(tmp_path / "old", elsewhere)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    database, artifacts = tmp_path / "new/.nbmlops/mlflow.db", tmp_path / "new/.nbmlops/artifacts"
    assert moved.follow(database, artifacts)
    assert not moved.follow(database, artifacts)
    assert locations(database) == sorted([str(artifacts), f"{artifacts}/0", *elsewhere])
    assert str(tmp_path / "old/.nbmlops/artifacts/0") in locations(tmp_path / "old/.nbmlops/mlflow.db")


def test_moved_into_itself_and_back(tmp_path: Path) -> None:
    database, artifacts = workspace_at(tmp_path / "a")
    inner = artifacts / "deep" / ".nbmlops" / "artifacts"
    assert moved.follow(database, inner)
    assert locations(database) == sorted([str(inner), f"{inner}/0"])
    assert moved.follow(database, artifacts)
    assert locations(database) == sorted([str(artifacts), f"{artifacts}/0"])


def test_a_rewrite_that_fails_changes_nothing(tmp_path: Path) -> None:
    database, artifacts = workspace_at(tmp_path / "a")
    before = locations(database)
    with closing(sqlite3.connect(database)) as connection:
        run = ("r", f"{artifacts}/r/artifacts", 1)
        connection.execute("INSERT INTO runs (run_uuid, artifact_uri, experiment_id) VALUES (?, ?, ?)", run)
        connection.execute("CREATE TRIGGER no BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'no'); END")
        connection.commit()
    with pytest.raises((Corrupt, StorageError)):
        moved.follow(database, tmp_path / "b/.nbmlops/artifacts")
    assert locations(database) == before


def test_a_database_that_nbmlops_did_not_make_is_left_alone(tmp_path: Path) -> None:
    database, artifacts = workspace_at(tmp_path / "a")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE experiments SET artifact_location = '/data/mlruns/0' WHERE experiment_id = 0")
        connection.commit()
    assert not moved.follow(database, tmp_path / "b/.nbmlops/artifacts")
    assert str(artifacts) in locations(database)
