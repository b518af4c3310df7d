"""The Tab key offers what fits the place: options, models, endpoints, variables, paths."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from nbmlops.core.workspace import Workspace
from nbmlops.journal import Journal
from nbmlops.testing.shell import Notebook


@pytest.fixture
def journal(workspace: Workspace) -> Journal:
    journal = Journal.open(workspace)
    for version in (1, 2):
        journal.append("model.registered", f"model/flights/{version}", {"name": "flights", "version": version})
    journal.append("model.registered", "model/fares/1", {"name": "fares", "version": 1})
    journal.append("alias.set", "model/flights/2", {"name": "flights", "alias": "night", "version": 2})
    journal.append("endpoint.deployed", "endpoint/flights-blue", {"endpoint": "flights-blue", "model": "flights"})
    journal.append("endpoint.deployed", "endpoint/gone", {"endpoint": "gone", "model": "flights"})
    journal.append("endpoint.deleted", "endpoint/gone", {"endpoint": "gone"})
    return journal


def ends(cells: Notebook, text: str) -> list[str]:
    """Return the last words of what is offered."""
    return [line.split()[-1] for line in cells.complete(text)]


def test_options_that_were_not_given_yet(cells: Notebook) -> None:
    assert ends(cells, "%probe model --n") == ["--name", "--no-auth"]
    assert ends(cells, "%probe model --name x --n") == ["--no-auth"]
    assert ends(cells, "%probe model --tag a=b --t") == ["--tag"]  # it may be repeated


def test_model_references(cells: Notebook, journal: Journal) -> None:
    assert ends(cells, "%deploy fl") == ["flights", "flights/1", "flights/2", "flights@night"]
    assert ends(cells, "%deploy flights/") == ["flights/1", "flights/2"]
    assert ends(cells, "%deploy flights@n") == ["flights@night"]
    assert ends(cells, "x = %deploy fa") == ["fares", "fares/1"]


def test_endpoints_that_exist(cells: Notebook, journal: Journal) -> None:
    assert ends(cells, "%rollback ") == ["flights-blue"]
    assert ends(cells, "%deploy flights/2 --endpoint f") == ["flights-blue"]


def test_plans_that_were_shown(cells: Notebook, workspace: Workspace) -> None:
    (workspace.cache / "plans").mkdir(parents=True)
    for digits in ("0123abcd", "ffffabcd"):
        (workspace.cache / "plans" / f"{digits}.json").touch()
    assert ends(cells, "%deploy flights --apply ") == ["0123abcd", "ffffabcd"]
    assert ends(cells, "%deploy flights --apply 01") == ["0123abcd"]


def test_aliases(cells: Notebook, journal: Journal) -> None:
    assert ends(cells, "%promote flights/1 ") == ["challenger", "champion", "night"]


def test_variables_by_what_they_are(cells: Notebook) -> None:
    cells.run(
        "import math\n"
        "class Model:\n    def predict(self, rows): ...\n"
        "class Frame:\n    shape = (1, 2)\n"
        "my_model, my_frame, my_number, my_module = Model(), Frame(), 3, math\n"
    )
    assert ends(cells, "%probe my_") == ["my_model"]
    assert ends(cells, "%probe my_model --data my_") == ["my_frame"]
    cells.names["search"] = types.SimpleNamespace(best_model=1)
    assert ends(cells, "%probe search.best")[0] in {"search.best_model", "best_model"}  # left to IPython


def test_paths(cells: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vocabulary").mkdir()
    (tmp_path / "vocabulary" / "words.txt").touch()
    assert ends(cells, "%probe model --asset voc") == ["vocabulary/"]
    assert ends(cells, "%probe model --asset vocabulary/w") == ["vocabulary/words.txt"]


def test_the_value_of_an_option_is_no_argument(cells: Notebook, journal: Journal) -> None:
    assert ends(cells, "%promote --reason because fl")[:1] == ["flights"]
    assert ends(cells, "%promote flights/1 --reason because cham") == ["champion"]


def test_other_lines_are_left_to_ipython(cells: Notebook) -> None:
    cells.run("deployment = 1")
    assert "deployment" in cells.complete("deploym")


def test_without_a_journal_nothing_is_offered_and_nothing_made(cells: Notebook, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NBMLOPS_WORKSPACE", str(tmp_path))
    assert "flights" not in str(cells.complete("%deploy fl"))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_does_not_break_the_tab_key(
    cells: Notebook, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.journal_db.write_bytes(b"not a database" * 1000)
    assert "flights" not in str(cells.complete("%deploy fl"))
    assert capsys.readouterr() == ("", "")


def test_completion_imports_neither_mlflow_nor_pandas(journal: Journal) -> None:
    script = (
        "import sys; from nbmlops.workflows.candidates import candidates; print(*candidates('model'));"
        "sys.exit(any(name in sys.modules for name in ('mlflow', 'pandas', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flights/2" in done.stdout
