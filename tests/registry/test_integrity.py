"""Digests at registration, and the workspace's seal."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from nbmlops.core.errors import Corrupt
from nbmlops.registry import integrity


@pytest.fixture
def registered(tmp_path: Path) -> tuple[Path, Path, str]:
    folder, listed = tmp_path / "model", tmp_path / "own"
    (folder / "code").mkdir(parents=True)
    listed.mkdir()
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "code" / "ours.py").write_text("x = 1")
    return folder, listed, integrity.write(integrity.list_files(folder), listed)


def test_unchanged_passes_with_what_readers_leave(registered: tuple[Path, Path, str]) -> None:
    folder, listed, digest = registered
    (folder / "registered_model_meta").write_text("by MLflow")
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "ours.pyc").write_bytes(b"")
    integrity.check(folder, listed, digest=digest, reference="flights/1")


def changed(folder: Path) -> None:
    (folder / "code" / "ours.py").write_text("x = 2")


def missing(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def added(folder: Path) -> None:
    (folder / "code" / "numpy.py").write_text("evil")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (changed, r"flights/1: the file code/ours\.py was changed"),
        (missing, "MLmodel is missing"),
        (added, r"code/numpy\.py was added"),
    ],
)
def test_a_harmed_folder_is_named(registered: tuple[Path, Path, str], harm: Any, message: str) -> None:
    folder, listed, digest = registered
    harm(folder)
    with pytest.raises(Corrupt, match=message):
        integrity.check(folder, listed, digest=digest, reference="flights/1")


def test_a_forged_list_is_found(registered: tuple[Path, Path, str]) -> None:
    folder, listed, digest = registered
    (folder / "MLmodel").write_text("flavors: {evil: {}}")
    integrity.write(integrity.list_files(folder), listed)
    with pytest.raises(Corrupt, match="list of files does not match"):
        integrity.check(folder, listed, digest=digest, reference="flights/1")


@pytest.mark.parametrize("content", [None, "no json"])
def test_an_unreadable_list_is_named(registered: tuple[Path, Path, str], content: str | None) -> None:
    folder, listed, digest = registered
    (listed / "files.json").unlink()
    if content is not None:
        (listed / "files.json").write_text(content)
    with pytest.raises(Corrupt, match="list of files can't be read"):
        integrity.check(folder, listed, digest=digest, reference="flights/1")


def test_a_seal_is_this_workspaces_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mark = integrity.seal(tmp_path, "sha256:1")
    assert integrity.sealed(tmp_path, "sha256:1", mark)
    assert not integrity.sealed(tmp_path, "sha256:2", mark)
    assert not integrity.sealed(tmp_path / "other", "sha256:1", mark)
    assert not integrity.sealed(tmp_path, "sha256:1", "")
    assert stat.S_IMODE((tmp_path / "registry.key").stat().st_mode) == 0o600
