from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from nbmlops.capture import unwatch, watch
from nbmlops.capture.recorder import recorder


def test_it_sees_what_ran_under_which_id_and_what_it_bound(shell: InteractiveShell) -> None:
    listening = watch(shell)
    shell.run_cell("a = 1; exec('b = [2]')", store_history=True, cell_id="one")
    shell.run_cell("b = [3]; _hidden = 1", store_history=True, cell_id="two")
    first, second = listening.executions.values()
    assert (first.execution_count, first.cell_id, first.source) == (1, "one", "a = 1; exec('b = [2]')")
    assert first.bound >= {"a", "b"}
    assert second.bound == {"b"}
    assert first.succeeded
    assert first.started_at <= second.started_at


def test_a_failure_is_kept_as_one_and_a_silent_execution_not_at_all(shell: InteractiveShell) -> None:
    listening = watch(shell)
    shell.run_cell("c = 1\nd = 1 / 0", store_history=True)
    shell.run_cell("e = 1", store_history=False)
    shell.run_cell("f = 1", silent=True)
    assert [(one.succeeded, one.bound, one.cell_id) for one in listening.executions.values()] == [
        (False, frozenset({"c"}), "")
    ]


def test_it_listens_once_and_stops_when_told(shell: InteractiveShell) -> None:
    first = watch(shell)
    assert watch(shell) is first
    shell.run_cell("a = 1", store_history=True)
    unwatch(shell)
    unwatch(shell)
    assert recorder(shell) is None
    shell.run_cell("b = 1", store_history=True)
    assert len(first.executions) == 1


def test_the_cell_that_starts_it_is_kept_without_its_bindings(shell: InteractiveShell) -> None:
    shell.user_ns["watch"] = lambda: watch(shell)
    shell.run_cell("x = watch()", store_history=True, cell_id="load")
    listening = recorder(shell)
    assert listening is not None
    assert [(one.cell_id, one.bound) for one in listening.executions.values()] == [("load", frozenset())]
