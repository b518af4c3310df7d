from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbmlops.capture import saved
from nbmlops.capture.lineage import Run
from nbmlops.capture.saved import read_notebook

BEFORE, SAVED, AFTER = 100.0, 200.0, 300.0


@pytest.fixture
def notebook(write_notebook):
    path = write_notebook(("one", "a = 1"), ("two", "b = 2\nc = 3"))
    os.utime(path, (SAVED, SAVED))
    found = read_notebook(path)
    assert found is not None
    return found


def test_cells_of_code_are_read_from_top_to_bottom(notebook) -> None:
    assert [(cell.position, cell.id, cell.source) for cell in notebook.cells] == [
        (0, "one", "a = 1"),
        (1, "two", "b = 2\nc = 3"),
    ]
    assert notebook.saved_at == SAVED


@pytest.mark.parametrize(
    ("run", "state"),
    [
        (Run(1, "a = 1", "one", BEFORE), "saved"),
        (Run(1, "a = 1\n", "", None), "saved"),
        (Run(1, "b = 2\r\nc = 3", "", AFTER), "saved"),
        (Run(1, "a = 2", "one", BEFORE), "edited"),
        (Run(1, "a = 2", "one", AFTER), "unknown"),
        (Run(1, "a = 2", "one", None), "unknown"),
        (Run(1, "z = 1", "three", BEFORE), "gone"),
        (Run(1, "z = 1", "", BEFORE), "gone"),
        (Run(1, "z = 1", "three", AFTER), "unknown"),
        (Run(1, "a = 1", "three", BEFORE), "saved"),
    ],
)
def test_the_state_of_a_run(notebook, run: Run, state: str) -> None:
    assert notebook.state(run) == state


def test_a_cell_is_found_by_its_id_before_its_source(notebook) -> None:
    assert notebook.position(Run(1, "a = 1", "two")) == 1
    assert notebook.position(Run(1, "z")) is None


def test_cells_without_ids_are_found_by_source(write_notebook) -> None:
    found = read_notebook(write_notebook(("", "a = 1"), ids=False))
    assert found is not None
    assert found.position(Run(1, "a = 1", "front-end-id")) == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 3}', '{"worksheets": []}', b"\xff\xfe"])
def test_what_is_no_notebook_is_none(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_notebook(path) is None
    assert read_notebook(tmp_path / "missing.ipynb") is None


def test_a_huge_file_is_not_read(write_notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_notebook(("one", "a = 1"))
    monkeypatch.setattr(saved, "LARGEST", 10)
    assert read_notebook(path) is None
