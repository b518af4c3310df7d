from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from nbmlops.capture import capture, capture_notebook, watch
from nbmlops.capture.provenance import bound_to

LONG_AGO = 1.0
STORY = (
    ("load", "from sklearn.linear_model import LogisticRegression\nX, y = [[0.0], [1.0]], [0, 1]"),
    ("make", "model = LogisticRegression()"),
    ("fit", "%%capture\nmodel.fit(X, y)"),
    ("plot", "str(model)"),
)


def play(shell: InteractiveShell, *cells: tuple[str, str]) -> None:
    for cell_id, source in cells:
        assert shell.run_cell(source, store_history=True, cell_id=cell_id).success


@pytest.fixture
def open_notebook(shell: InteractiveShell, write_notebook, monkeypatch: pytest.MonkeyPatch):
    """Play cells in a watched shell of a notebook that was last saved with other (or the same) cells."""

    def open_notebook(*cells: tuple[str, str], saved: tuple[tuple[str, str], ...] = STORY, stale: bool = False) -> str:
        watch(shell)
        play(shell, *cells)
        path = write_notebook(*saved)
        if stale:
            os.utime(path, (LONG_AGO, LONG_AGO))
        monkeypatch.setenv("JPY_SESSION_NAME", str(path))
        return str(path)

    return open_notebook


def warned(shell: InteractiveShell, name: str = "model") -> tuple[str, ...]:
    return capture_notebook(shell, obj=shell.user_ns[name]).warnings


def test_the_path_the_cells_and_the_producer_are_known(shell: InteractiveShell, open_notebook) -> None:
    path = open_notebook(*STORY)
    found = capture_notebook(shell, obj=shell.user_ns["model"])
    assert found.path == path
    assert [(cell.id, cell.execution_count, cell.source) for cell in found.cells] == [
        (cell_id, count, source) for count, (cell_id, source) in enumerate(STORY, 1)
    ]
    assert found.produced_by == (3,)
    assert found.warnings == ()


def test_an_edited_cell_is_named(shell: InteractiveShell, open_notebook) -> None:
    open_notebook(*STORY, saved=(STORY[0], ("make", "model = LogisticRegression(C=3)"), *STORY[2:]))
    assert warned(shell) == (
        'The model came from cell [2] "model = LogisticRegression()", which was edited since it ran.',
    )


def test_a_deleted_cell_is_named_by_its_first_line_that_is_no_magic(shell: InteractiveShell, open_notebook) -> None:
    open_notebook(*STORY, saved=(*STORY[:2], STORY[3]))
    assert warned(shell) == (
        'The model came from cell [3] "model.fit(X, y)", which the saved notebook no longer holds.',
    )


def test_a_cell_that_has_nothing_to_do_with_the_model_may_go(shell: InteractiveShell, open_notebook) -> None:
    open_notebook(*STORY, saved=STORY[:3])
    assert warned(shell) == ()


def test_an_unsaved_edit_is_unknown(shell: InteractiveShell, open_notebook) -> None:
    open_notebook(*STORY, saved=STORY[:1], stale=True)
    assert warned(shell) == (
        'It is unknown whether the notebook still holds cell [2] "model = LogisticRegression()", '
        'cell [3] "model.fit(X, y)", which the model came from: it was not saved since.',
    )


def test_cells_run_out_of_order_are_named(shell: InteractiveShell, open_notebook) -> None:
    open_notebook(*STORY, saved=(STORY[1], STORY[2], STORY[0]))
    assert warned(shell)[0] == (
        "Cells ran out of order: cell [2] \"model = LogisticRegression()\" used 'LogisticRegression' of "
        'cell [1] "from sklearn.linear_model import LogisticRegression", which stands below it.'
    )
    assert "cell [3] \"model.fit(X, y)\" used 'X' and 'y' of cell [1]" in warned(shell)[1]
    assert len(warned(shell)) == 2


def test_a_cell_that_ran_on_its_own_result_is_named(shell: InteractiveShell, open_notebook) -> None:
    cells = (STORY[0], ("twice", "y = y[::-1]"), ("twice", "y = y[::-1]"), *STORY[1:])
    open_notebook(*cells, saved=(*cells[:2], *STORY[1:]))
    assert warned(shell) == ("Cells ran out of order: cell [3] \"y = y[::-1]\" ran on its own earlier result, 'y'.",)


def test_a_cell_in_between_that_writes_the_same_name_is_named(shell: InteractiveShell, open_notebook) -> None:
    open_notebook(*STORY, ("late", "y = [1, 0]"), saved=(STORY[0], ("late", "y = [1, 0]"), *STORY[1:]))
    assert warned(shell) == (
        "Cells ran out of order: cell [3] \"model.fit(X, y)\" used 'y' as cell [1] "
        '"from sklearn.linear_model import LogisticRegression" left it, but cell [5] "y = [1, 0]" stands between '
        "them and writes it too.",
    )


def test_without_a_recorder_cells_are_matched_by_their_source(
    shell: InteractiveShell, write_notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(shell, *STORY)
    monkeypatch.setenv("NBMLOPS_NOTEBOOK", str(write_notebook(*STORY)))
    found = capture_notebook(shell, obj=shell.user_ns["model"])
    assert [cell.id for cell in found.cells] == [cell_id for cell_id, _ in STORY]
    assert found.warnings == ()
    write_notebook(STORY[0], STORY[2])
    assert warned(shell)[0].startswith('It is unknown whether the notebook still holds cell [2] "model = Log')


def test_cells_from_before_the_recorder_count_as_run_before_it_began(
    shell: InteractiveShell, write_notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(shell, *STORY[:2])
    watch(shell)
    play(shell, *STORY[2:])
    monkeypatch.setenv("NBMLOPS_NOTEBOOK", str(write_notebook(STORY[0], STORY[2])))
    assert warned(shell) == (
        'The model came from cell [2] "model = LogisticRegression()", which the saved notebook no longer holds.',
    )


def test_an_attribute_of_a_named_object_is_traced_to_it(shell: InteractiveShell, open_notebook) -> None:
    cells = (("a", "class Search: pass"), ("b", "search = Search(); search.best = [1]"))
    open_notebook(*cells, saved=cells[:1])
    found = capture_notebook(shell, obj=shell.user_ns["search"].best)
    assert found.produced_by == (2,)
    assert len(found.warnings) == 1


def test_the_cell_that_is_running_has_its_id(shell: InteractiveShell) -> None:
    watch(shell)
    shell.user_ns["look"] = lambda: capture_notebook(shell).cells
    play(shell, ("first", "a = 1"), ("now", "seen = look()"))
    assert [cell.id for cell in shell.user_ns["seen"]] == ["first", "now"]


def test_the_namespace_is_searched_for_the_object_itself() -> None:
    model, other = [1], [1]
    assert bound_to(model, [("a", other), ("b", model), ("_", model), ("Out", model)]) == ["b"]
    assert bound_to(model, [("a", other)]) == []


@pytest.mark.parametrize("source", ["NBMLOPS_NOTEBOOK", "JPY_SESSION_NAME", "vscode"])
def test_each_front_end_tells_the_path_in_its_own_way(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    path = str(tmp_path / "a.ipynb")
    if source == "vscode":
        shell.user_ns["__vsc_ipynb_file__"] = path
    else:
        monkeypatch.setenv(source, path)
    assert capture_notebook(shell).path == path


def test_a_session_that_is_no_notebook_has_no_path(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "console-1")
    assert capture_notebook(shell).path == ""


def test_a_notebook_that_can_not_be_read_gives_no_warnings(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/nowhere/a.ipynb")
    play(shell, *STORY)
    assert warned(shell) == ()


def test_outside_of_a_shell_the_path_is_that_of_the_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "train.py"), raising=False)
    found = capture_notebook()
    assert (found.path, found.cells, found.warnings) == (str(tmp_path / "train.py"), (), ())
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    assert capture_notebook().path == ""


def test_capture_says_which_cell_made_the_model(shell: InteractiveShell, open_notebook, tmp_path: Path) -> None:
    open_notebook(*STORY)
    found = capture(shell.user_ns["model"], shell=shell, root=tmp_path)
    assert found.notebook.produced_by == (3,)
    assert found.environment.package("scikit-learn").scope == "model"
