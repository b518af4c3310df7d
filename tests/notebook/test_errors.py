"""An error of nbmlops is one line in the cell, stops the run, and is whole under %tb."""

from __future__ import annotations

import pytest

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.testing.shell import Notebook
from nbmlops.workflows.commands import UsageError


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def test_an_error_is_one_line_and_still_an_error(cells: Notebook) -> None:
    run = cells.run("%inspect_model nothing")
    assert isinstance(run.error, NotFound)
    [line] = lines(run.stdout)
    assert line.endswith("no model is named 'nothing'. Did you mean flights?")
    assert "NotFound" in line


def test_tb_shows_the_rest_in_a_later_cell(cells: Notebook) -> None:
    cells.run("%inspect_model nothing")
    shown = cells.run("%tb").stdout
    assert "Traceback" in shown
    assert "raise NotFound" in shown


def test_what_follows_in_the_cell_does_not_run(cells: Notebook) -> None:
    cells.run("%inspect_model nothing\nafter = 1")
    assert "after" not in cells.names


def test_an_error_can_be_caught(cells: Notebook) -> None:
    caught = cells.run(
        "from nbmlops.core.errors import NotFound\n"
        "try:\n    get_ipython().run_line_magic('inspect_model', 'nothing')\n"
        "except NotFound as error:\n    told = error.hint\n"
    )
    assert caught.error is None
    assert cells.names["told"] == "Did you mean flights?"


def test_a_bug_keeps_its_traceback(cells: Notebook) -> None:
    run = cells.run("%inspect_model broken")
    assert isinstance(run.error, ZeroDivisionError)
    assert "Traceback" in run.stdout


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%probe model --taag a=b", "%probe has no option --taag. Did you mean --tag?"),
        ("%probe", "missing argument 'OBJ'"),
        ("%probe model --name", "--name"),
        ("%probe model other", "unexpected extra argument"),
        ("%probe model --name 'open", "the line can't be read"),
    ],
)
def test_a_line_that_cannot_be_read_is_one_line_that_helps(cells: Notebook, line: str, told: str) -> None:
    cells.run("model = 1")
    run = cells.run(line)
    assert isinstance(run.error, UsageError)
    [shown] = lines(run.stdout)
    assert told in shown


@pytest.mark.parametrize(
    ("word", "kind", "told"),
    [
        ("modle", NotFound, "Did you mean model?"),
        ("model.fitt", NotFound, "model has no attribute 'fitt'. Did you mean fit?"),
        ("fit(x)", InvalidInput, "Give the value of an expression a name first."),
        ("nothing.onnx", NotFound, "no variable and no file is named 'nothing.onnx'"),
    ],
)
def test_a_word_that_names_nothing(cells: Notebook, word: str, kind: type[Exception], told: str) -> None:
    cells.run("import types; model = types.SimpleNamespace(fit=1)")
    run = cells.run(f"%probe {word}")
    assert isinstance(run.error, kind)
    [shown] = lines(run.stdout)
    assert told in shown


def test_data_of_an_unknown_name(cells: Notebook) -> None:
    cells.run("import types; import math as framer; model = 1; framed = open; frame = types.SimpleNamespace()")
    cells.run("class Table: shape = (1, 1)\nframes = Table()")
    run = cells.run("%probe model --data framme")
    assert isinstance(run.error, NotFound)
    assert "Did you mean frames?" in run.stdout


def test_what_nobody_made_is_not_suggested(cells: Notebook) -> None:
    cells.run("import math as modell; from math import modf as modle1")
    for word in ("opem", "modle", "modle1x"):
        run = cells.run(f"%probe {word}")
        assert isinstance(run.error, NotFound)
        assert "Did you mean" not in run.stdout
