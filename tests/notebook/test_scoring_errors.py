"""A scoring script with a bug, in a real kernel: its line comes back to the cell, and the request runs there again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nbmlops.core.workspace import Workspace

from .test_kernel import ANSI, executed

pytestmark = pytest.mark.integration

HELPER = """password = "hunter2"

def per_hour(minutes, hours):
    return [minute // hour for minute, hour in zip(minutes, hours)]
"""
ENTRY = """%%entry score --data rows --asset data/lookup.csv
import pandas as pd

def init():
    global delays
    delays = pd.read_csv("data/lookup.csv").set_index("carrier")["delay"]

def run(data):
    return per_hour(data["carrier"].map(delays), data["hour"])
"""
CELLS = {
    "load": "%load_ext nbmlops\nimport nbmlops, pandas as pd",
    "rows": "rows = pd.DataFrame({'carrier': ['UA', 'AA', 'UA'], 'hour': [1, 2, 3]})",
    "helper": HELPER,
    "entry": ENTRY,
    "register": "%register_model score --name scores",
    "deploy": "scores = %deploy scores",
    "equal": "print(score(rows), scores.predict(rows).tolist())",
    "missing": "scores.predict(rows[['carrier']])",
    "fails": "scores.predict(rows.assign(hour=0))",
    "told": "[error] = scores.errors()\nprint(error.line)\nscores.errors()",
    "replay": "get_ipython().run_line_magic('replay', error.prediction)",
    "bound": "print(replayed_request.to_dict('list'))",
    "logs": "print(scores.logs(500))",
    "down": "print(nbmlops.down())",
}


def said(outputs: list[dict[str, Any]]) -> str:
    """Return everything that a cell shows, as plain text."""
    parts = [output.get("text", "") + "\n".join(output.get("traceback", [])) for output in outputs]
    return ANSI.sub("", "\n".join([*parts, *(str(output.get("data", "")) for output in outputs)]))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each cell of one notebook showed, and the text of cells in the bundle that was served."""
    root = tmp_path_factory.mktemp("errors")
    (root / ".nbmlops").mkdir()
    (root / "data").mkdir()
    (root / "data" / "lookup.csv").write_text("carrier,delay\nUA,30\nAA,50\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NBMLOPS_WORKSPACE", str(root))
        Workspace.find(root).open()
        outputs = executed(list(CELLS.values()), root, allow_errors=True)
    found = dict(zip(CELLS, map(said, outputs), strict=True))
    assert "Stopped and removed: scores" in found["down"], found
    return found | {"bundle": _cells_in_the_bundle(root)}


def _cells_in_the_bundle(root: Path) -> str:
    [path] = (root / ".nbmlops" / "bundles").glob("*/sources.json")
    return path.read_text()


def test_called_in_the_notebook_and_over_http_it_answers_the_same(shown: dict[str, str]) -> None:
    assert shown["equal"].strip() == "[30, 25, 10] [30, 25, 10]"


def test_what_does_not_fit_the_data_is_refused_by_its_name(shown: dict[str, str]) -> None:
    assert "ScoringError: column 'hour' is missing" in shown["missing"]


def test_the_users_own_lines_come_back_to_the_cell(shown: dict[str, str]) -> None:
    told = shown["fails"]
    assert re.search(r'File "<entry score>", line 9, in run\n +return per_hour\(data', told), told
    assert re.search(r'File "Cell In\[3\]", line 4, in per_hour[\w.<>]*\n +return \[minute // hour for', told), told
    assert "ZeroDivisionError" in told
    assert "nbmlops/serving" not in told.partition("ScoringError:")[0]


def test_errors_are_listed_without_their_data(shown: dict[str, str]) -> None:
    assert "Cell In[3], line 4, in per_hour" in shown["told"]
    assert "ZeroDivisionError" in shown["told"]
    assert "'UA'" not in shown["told"]


def test_the_request_runs_again_in_the_kernel(shown: dict[str, str]) -> None:
    assert "ZeroDivisionError" in shown["replay"]
    assert "return [minute // hour for" in shown["replay"]
    assert "typer" not in shown["replay"]
    assert shown["bound"].strip() == "{'carrier': ['UA', 'AA', 'UA'], 'hour': [0, 0, 0]}"


def test_the_log_has_neither_data_nor_traceback(shown: dict[str, str]) -> None:
    assert " arm=1 ZeroDivisionError" in shown["logs"]
    assert "Traceback" not in shown["logs"]
    assert "integer" not in shown["logs"]


def test_of_the_cell_only_the_function_travels(shown: dict[str, str]) -> None:
    assert "minute // hour" in shown["bundle"]
    assert "hunter2" not in shown["bundle"]
