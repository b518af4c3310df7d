"""Scoring scripts: what a cell may be, what it sees, and that it is the same wherever it is loaded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from nbmlops.capture.objects import uses
from nbmlops.core.errors import InvalidInput
from nbmlops.registry.arguments import declared
from nbmlops.testing.shell import Notebook, notebook
from nbmlops.workflows.entry import Entry, entry

SCRIPT = """
import pandas as pd

def init():
    global table
    table = pd.read_csv("lookup.csv").set_index("carrier")["delay"]

def run(data):
    return data["carrier"].map(table) * factor
"""


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.chdir(tmp_path)
    Path("lookup.csv").write_text("carrier,delay\nUA,3\nAA,5\n")
    with notebook() as opened:
        yield opened


def made(cells: Notebook, source: str) -> Entry:
    run = cells.run(source)
    assert run.error is None, run.stdout
    assert isinstance(run.result, Entry)
    return run.result


def refused(cells: Notebook, source: str) -> str:
    error = cells.run(source).error
    assert isinstance(error, InvalidInput), error
    return str(error)


def test_a_cell_becomes_a_script_under_its_name(cells: Notebook) -> None:
    cells.run(
        "import pandas as pd\nfactor, table = 2, 'of the notebook'\nrows = pd.DataFrame({'carrier': ['UA', 'AA']})"
    )
    script = made(cells, f"%%entry score --data rows --asset lookup.csv{SCRIPT}")
    assert cells.names["score"] is script
    assert cells.run("score(rows)").result.tolist() == [6, 10]
    assert (script.given, script.assets, script.function) == (("factor",), (Path("lookup.csv"),), "run")
    assert "table" not in script.model.given
    assert cells.names["table"] == "of the notebook"
    assert "lookup.csv" in cells.run("score").stdout


def test_one_function_is_enough(cells: Notebook) -> None:
    cells.run("def double(x):\n    return 2 * x")
    made(cells, "%%entry score\ndef by_any_name(data, more=0):\n    return double(data)")
    assert cells.run("score(21)").result == 42


def test_further_arguments_are_parameters_of_the_model(cells: Notebook) -> None:
    script = made(cells, "%%entry score\ndef run(data, factor=2.0, names=('a',)):\n    return data * factor")
    assert cells.run("score(3, factor=1.5)").result == 4.5
    assert [(one["name"], one["type"], one["default"]) for one in declared(script.model)] == [
        ("factor", "double", 2.0),
        ("names", "string", ["a"]),
    ]


def test_it_keeps_what_the_notebook_had_when_it_was_made(cells: Notebook) -> None:
    cells.run("factor = 2")
    made(cells, "%%entry score\ndef run(data):\n    return data * factor")
    assert cells.run("factor = 3\nscore(1)").result == 2


def test_braces_in_its_line_are_not_expanded_and_quotes_hold(cells: Notebook) -> None:
    cells.run("name = 'other'")
    assert "{name}" in refused(cells, "%%entry {name}\ndef run(data):\n    return data")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("x = 1", "defines no function"),
        ("def init():\n    pass", "it defines init"),
        ("def a(x):\n    return x\ndef b(x):\n    return x", "it defines a, b"),
        ("def run(a, b):\n    return a", r"run\(a, b\) can't score"),
        ("async def run(a):\n    return a", "asynchronous"),
        ("!pip install something\ndef run(a):\n    return a", "line 2 is no Python"),
    ],
)
def test_what_is_no_script_is_refused_and_says_why(cells: Notebook, source: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        raise InvalidInput(refused(cells, f"%%entry score\n{source}"))
    assert "score" not in cells.names


@pytest.mark.parametrize("asset", ["/etc/hostname", "../lookup.csv", "missing.csv"])
def test_an_asset_must_lie_where_the_same_path_leads_to_it(cells: Notebook, asset: str) -> None:
    assert "current" in refused(cells, f"%%entry score --asset {asset}\ndef run(data):\n    return data")


def test_help_and_an_error_in_the_cell(cells: Notebook) -> None:
    assert "--asset PATH" in cells.run("%%entry --help\npass").stdout
    run = cells.run("%%entry score\ndef run(data):\n    return data\n1 / 0")
    assert isinstance(run.error, ZeroDivisionError)
    assert "<entry score>:4" in run.stdout


def test_the_line_of_a_traceback_is_the_cells(cells: Notebook) -> None:
    made(cells, "%%entry score\ndef run(data):\n    return data['nothing']")
    run = cells.run("score({})")
    assert isinstance(run.error, KeyError)
    assert "----> 3     return data['nothing']" in run.stdout


def test_elsewhere_it_runs_anew_without_nbmlops(cells: Notebook, tmp_path: Path) -> None:
    cells.run("factor = 2")
    script = made(cells, f"%%entry score{SCRIPT}")
    (tmp_path / "script.pkl").write_bytes(cloudpickle.dumps(script.model))
    program = (
        "import pickle, sys, traceback, pandas as pd\n"
        "sys.modules['nbmlops'] = None\n"
        "script = pickle.load(open('script.pkl', 'rb'))\n"
        "print(script.predict(pd.DataFrame({'carrier': ['AA']})).tolist())\n"
        "try:\n    script.predict(1)\nexcept TypeError:\n    traceback.print_exc()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "[10]\n", done.stderr
    assert 'File "<entry score>", line 9, in run' in done.stderr
    assert 'return data["carrier"].map(table) * factor' in done.stderr


def test_what_it_imports_is_found_and_what_the_shell_adds_is_not(cells: Notebook) -> None:
    imports = "import wave\nfrom fractions import Fraction"
    script = made(cells, f"%%entry score\n{imports}\ndef run(data):\n    import csv\n    return data")
    tops = {name.partition(".")[0] for name in uses(script.model)}
    assert {"wave", "fractions", "csv"} <= tops
    assert not {"IPython", "nbmlops"} & tops


def test_from_python_a_function_or_a_text() -> None:
    def score(data: pd.DataFrame) -> np.ndarray:
        return data["hour"].to_numpy() * 2

    rows = pd.DataFrame({"hour": [1, 2]})
    assert entry(score, "one")(rows).tolist() == [2, 4]
    assert entry("def score(data):\n    return data['hour']", "two")(rows).tolist() == [1, 2]
    with pytest.raises(InvalidInput, match="no name for a variable"):
        entry(score, "no name")
    with pytest.raises(InvalidInput, match="has its models already"):
        entry(score, "one", models={"model": "flights/1"})
