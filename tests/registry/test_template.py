"""A fresh database, made from the schema that MLflow's migrations give."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from nbmlops.core.errors import StorageError
from nbmlops.registry import template


@pytest.mark.integration
def test_the_shipped_schema_is_what_the_migrations_give() -> None:
    shipped = files("nbmlops.registry") / "schemas" / f"mlflow-{template.revision()}.sql"
    assert shipped.is_file(), "MLflow's migrations changed: write template.migrated() to that file"
    assert statements(shipped.read_text()) == statements(template.migrated())


def statements(script: str) -> list[list[str]]:
    """The words of each statement; indexes and the values of a check come in the order of a set."""
    return sorted(sorted(re.findall(r"\w+", statement)) for statement in script.split(";\n"))


def test_it_is_made_for_the_workspace(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    template.create(database, tmp_path / "artifacts")
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    assert rows == [("Default", f"{tmp_path}/artifacts/0")]
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_one_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("mine")
    template.create(tmp_path / "mlflow.db", tmp_path)
    assert (tmp_path / "mlflow.db").read_text() == "mine"


def test_another_mlflow_is_migrated_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    schema = template.template()

    def migrate() -> str:
        made.append(1)
        return schema

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(template, "revision", lambda: "another")
    monkeypatch.setattr(template, "migrated", migrate)
    for number in range(2):
        template.create(tmp_path / f"{number}.db", tmp_path)
    assert made == [1]
    assert (tmp_path / "cache/nbmlops/mlflow-another.sql").read_text() == schema


def test_a_full_disk_leaves_no_half_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(template, "_fill", full)
    with pytest.raises(StorageError, match="disk is full"):
        template.create(tmp_path / "mlflow.db", tmp_path)
    assert list(tmp_path.iterdir()) == []
