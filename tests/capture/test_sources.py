from __future__ import annotations

import linecache
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbmlops.capture.sources import cell_sources

CELL = """password = "hunter2"

def helper(x):
    return x / 0

class Model:
    limit = 3

    def predict(self, rows):
        inner = lambda row: helper(
            row
        )
        return [inner(row) for row in rows]

model = Model()
"""


@pytest.fixture
def cell() -> Iterator[Any]:
    """Run text as a cell of that name, as a kernel does."""
    made: list[str] = []

    def run(source: str, name: str) -> dict[str, Any]:
        made.append(name)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(source, name, "exec"), names)
        return names

    yield run
    for name in made:
        linecache.cache.pop(name, None)


def test_the_functions_lines_travel_and_nothing_else_of_the_cell(cell: Any) -> None:
    names = cell(CELL, "<ipython-input-1-abc>")
    found = cell_sources(names["model"])
    assert list(found) == ["<ipython-input-1-abc>"]
    lines = found["<ipython-input-1-abc>"].splitlines()
    for number, line in enumerate(CELL.splitlines(), start=1):
        if number in (3, 4, *range(9, 14)):
            assert lines[number - 1] == line
    assert "hunter2" not in "".join(lines)
    assert "model = Model()" not in lines


def test_a_cell_that_a_debugger_wrote_to_disk_is_a_cell(cell: Any, tmp_path: Path) -> None:
    file = tmp_path / "ipykernel_12" / "345.py"
    file.parent.mkdir()
    file.write_text(CELL)
    assert str(file) in cell_sources(cell(CELL, str(file))["model"])


def test_a_function_in_a_file_needs_no_copy(cell: Any, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(CELL)
    assert cell_sources(cell(CELL, str(file))["model"]) == {}


def test_an_object_of_a_library_has_none() -> None:
    from sklearn.linear_model import LogisticRegression

    assert cell_sources(LogisticRegression()) == {}
