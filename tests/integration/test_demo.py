"""The tutorial notebook, run as `make demo` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks/00_the_whole_game.ipynb"
SHORTEST_STORY = 10  # cells; fewer would tell nothing


def run_demo(notebook: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools/demo.py", "--notebook", notebook, "--out", out]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.integration
@pytest.mark.timeout(400)
def test_the_story_runs_from_top_to_bottom(tmp_path: Path) -> None:
    done = run_demo(NOTEBOOK, tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 of 16 stages" in done.stdout
    assert "make lab" in done.stdout.splitlines()[-1]
    page = (tmp_path / "00_the_whole_game.html").read_text()
    assert "All as promised." in page
    assert "data:image/svg+xml" in page or "<svg" in page, "the picture is in the page itself"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda cells: cells[-1].update(source="1 / 0"), "✗ checks"),
        (lambda cells: cells.pop(), "Not done: checks"),
        (lambda cells: cells[-1].metadata.update(tags=["raises-exception"]), "was not refused, as it should be"),
    ],
    ids=["a stage fails", "a stage is missing", "a refusal does not come"],
)
def test_the_demo_fails_when_a_stage_does_not_do_what_it_should(tmp_path: Path, change, complaint: str) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = "pass" if cell.cell_type == "code" else cell.source
        cell.metadata.pop("tags", None)
    change(notebook.cells)
    nbformat.write(notebook, tmp_path / "changed.ipynb")

    done = run_demo(tmp_path / "changed.ipynb", tmp_path)

    assert done.returncode == 1
    assert complaint in done.stdout + done.stderr


def test_the_story_is_short_clean_and_honest() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    source = "\n".join(cell.source for cell in code)

    assert SHORTEST_STORY < len(notebook.cells) < 25
    assert not any(cell.outputs or cell.execution_count for cell in code), "it is kept without outputs"
    for known_only_later in ("dep_delay", "dep_time", "arr_time", "air_time"):
        assert known_only_later not in source
    assert source.count("arr_delay") == 2, "the arrival delay makes the label, and nothing else"
