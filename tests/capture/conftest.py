"""What several tests of the capture need: installed distributions, importable projects, and a shell."""

from __future__ import annotations

import atexit
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path that distributions are installed into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


Install = Callable[..., Path]


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution: its metadata, its files and, optionally, where it came from."""

    def install(
        name: str,
        version: str = "1.0",
        *,
        files: Mapping[str, str] | None = None,
        requires: tuple[str, ...] = (),
        direct_url: dict[str, Any] | str | None = None,
        installer: str = "pip",
    ) -> Path:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n\nA description\n")
        (info / "INSTALLER").write_text(installer + "\n")
        if direct_url is not None:
            text = direct_url if isinstance(direct_url, str) else json.dumps(direct_url)
            (info / "direct_url.json").write_text(text)
        for path, content in (files or {}).items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(content)
        records = [*(files or {}), f"{info.name}/METADATA", f"{info.name}/RECORD"]
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in records))
        return info

    return install


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path whose modules are the user's own; they are forgotten afterwards."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    importlib.invalidate_caches()
    before = set(sys.modules)
    yield root
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if path.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A shell without a notebook, whose history lives in memory."""
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    made = InteractiveShell(config=config)
    yield made
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)


@pytest.fixture
def write_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook of code cells given as (id, source)."""

    def write(*cells: tuple[str, str], name: str = "story.ipynb", ids: bool = True) -> Path:
        path = tmp_path / name
        content = [
            {"cell_type": "code", "metadata": {}, "outputs": [], "source": source.splitlines(True)}
            | ({"id": cell_id} if ids else {})
            for cell_id, source in cells
        ]
        notebook = {"cells": [{"cell_type": "markdown", "source": "# Story", "id": "t"}, *content], "nbformat": 4}
        path.write_text(json.dumps(notebook))
        return path

    return write
