"""A magic is the verb: same names, a returned object, the notebook's variables, help in the cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmlops.testing.shell import Notebook


def test_a_variable_is_handed_over_as_it_is(cells: Notebook) -> None:
    cells.run("model = object()")
    assert cells.run("%probe model").result["obj"] is cells.names["model"]


def test_dots_reach_attributes(cells: Notebook) -> None:
    cells.run("import types; search = types.SimpleNamespace(best=types.SimpleNamespace(step=3))")
    assert cells.run("%probe search.best.step").result["obj"] == 3


def test_the_result_can_be_assigned_and_is_the_last_result(cells: Notebook) -> None:
    cells.run("model = 1")
    assert cells.run("x = %probe model").result is None
    assert cells.names["x"]["obj"] == 1
    cells.run("%probe model")
    assert cells.run("_['obj'] + 1").result == 2


def test_a_semicolon_keeps_the_cell_quiet(cells: Notebook) -> None:
    cells.run("model = 1")
    assert "unnamed" in cells.run("%probe model").stdout
    assert "unnamed" not in cells.run("%probe model;").stdout


def test_quotes_group_words(cells: Notebook) -> None:
    cells.run("model = 1")
    given = cells.run("""%probe model --name "my model" --tag 'owner=Ann Lee' --tag area=botany""").result
    assert given["name"] == "my model"
    assert given["tags"] == {"owner": "Ann Lee", "area": "botany"}


def test_braces_are_expanded(cells: Notebook) -> None:
    cells.run("model = 1; label = 'night'")
    assert cells.run("%probe model --name {label}-1").result["name"] == "night-1"


def test_flags_that_are_on_by_default_are_turned_off(cells: Notebook) -> None:
    cells.run("model = 1")
    assert cells.run("%probe model").result["auth"] is True
    given = cells.run("%probe model --no-auth --plan").result
    assert (given["auth"], given["plan"]) == (False, True)


def test_what_is_left_out_keeps_the_functions_default(cells: Notebook) -> None:
    cells.run("model = 1")
    given = cells.run("%probe model").result
    assert given == {
        "obj": 1,
        "name": "unnamed",
        "data": None,
        "tags": None,
        "assets": None,
        "endpoint": None,
        "auth": True,
        "plan": False,
        "reason": None,
    }


def test_a_magic_inside_a_function_sees_its_variables(cells: Notebook) -> None:
    source = (
        "def register():\n    inner = 7\n    return get_ipython().run_line_magic('probe', 'inner')\nregister()['obj']"
    )
    assert cells.run(source).result == 7


def test_a_variable_comes_before_a_file_of_the_same_name(
    cells: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    assert cells.run("%probe model").result["obj"] == Path("model")
    cells.run("model = 1")
    assert cells.run("%probe model").result["obj"] == 1


def test_data_is_a_variable_or_a_file(cells: Notebook, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    cells.run("model = 1; frame = [1, 2]")
    assert cells.run("%probe model --data frame").result["data"] == [1, 2]
    assert cells.run(f"%probe model --data {tmp_path}/rows.csv").result["data"].to_dict("list") == {"a": [1], "b": [2]}


def test_help_is_printed_in_the_cell(cells: Notebook) -> None:
    run = cells.run("%probe --help")
    assert run.result is None
    assert run.error is None
    for word in (
        "Usage: %probe [OPTIONS] OBJ",
        "Tell what was given.",
        "More about it.",
        "--tag KEY=VALUE",
        "--no-auth",
    ):
        assert word in run.stdout
    assert "Parameters" not in run.stdout


def test_the_question_mark_shows_the_same_help(cells: Notebook) -> None:
    shown = cells.run("%probe?")
    assert "Usage: %probe [OPTIONS] OBJ" in str(shown.shown) + shown.stdout


def test_the_list_of_magics_imports_no_verb(cells: Notebook) -> None:
    magic = cells.shell.find_line_magic("deploy")
    assert magic.__doc__ == "Serve a model version behind a local HTTP endpoint."
