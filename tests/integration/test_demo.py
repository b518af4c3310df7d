"""The tutorial notebooks, run as `make demo` runs them; the second one is run by CI, where there is no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks/00_the_whole_game.ipynb"
STORIES = sorted((ROOT / "notebooks").glob("*.ipynb"))
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
    nbformat.write(notebook, tmp_path / NOTEBOOK.name)

    done = run_demo(tmp_path / NOTEBOOK.name, tmp_path / "out")

    assert done.returncode == 1
    assert complaint in done.stdout + done.stderr


def test_a_notebook_that_is_no_story_is_refused(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "scratch.ipynb", tmp_path)

    assert done.returncode == 2
    assert "expected one of 00_the_whole_game, 01_serving_and_rollout, 02_trust" in done.stderr


@pytest.mark.parametrize("story", STORIES, ids=[story.stem for story in STORIES])
def test_the_story_is_short_clean_and_honest(story: Path) -> None:
    notebook = nbformat.read(story, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    source = "\n".join(cell.source for cell in code)

    assert SHORTEST_STORY < len(notebook.cells) < 25
    assert not any(cell.outputs or cell.execution_count for cell in code), "it is kept without outputs"
    assert all(cell.metadata.get("stage") for cell in code), "the demo tells of every cell"
    for known_only_later in ("dep_delay", "dep_time", "arr_time", "air_time"):
        assert known_only_later not in source
    assert "All as promised." in code[-1].source


def test_the_arrival_delay_makes_the_label_and_nothing_else() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert sum(cell.source.count("arr_delay") for cell in notebook.cells if cell.cell_type == "code") == 2
