"""The notebook: its path, the cells that ran, and whether the saved file still tells how the model was made."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.capture.lineage import Run, trace
from nbmlops.capture.provenance import bound_to, warnings
from nbmlops.capture.recorder import Recorder, recorder
from nbmlops.capture.saved import read_notebook
from nbmlops.core.records import Record


@dataclass(frozen=True)
class Cell(Record):
    """One execution of a cell.

    Attributes
    ----------
    id : str
        The notebook's own id of the cell, where the front end sends it; else that of the saved cell with the same
        source; else empty.
    execution_count : int
        The number in ``In [n]``.
    source : str
        What was run, as it was typed.
    """

    id: str
    execution_count: int
    source: str


@dataclass(frozen=True)
class NotebookState(Record):
    """What ran in this kernel, and what there is to say about it.

    Attributes
    ----------
    path : str
        The notebook, or the script outside of one; empty where it is unknown.
    cells : tuple of Cell
        In the order of execution; a cell that ran twice is there twice.
    warnings : tuple of str
        One sentence each, about the cells that the object came from.
    produced_by : tuple of int
        Execution counts of the cells that last bound or fitted the object; empty where that is unknown.
    """

    path: str = ""
    cells: tuple[Cell, ...] = ()
    warnings: tuple[str, ...] = ()
    produced_by: tuple[int, ...] = ()


def capture_notebook(shell: Any = None, *, obj: Any = None) -> NotebookState:
    """Return the notebook's path, the cells that ran, and warnings about those that `obj` came from.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell, optional
        Default: that of this process. Without one the path is that of the running script, and there are no cells.
    obj : object, optional
        The model.
    """
    shell = shell if shell is not None else current_shell()
    if shell is None:
        return NotebookState(_script())
    path = notebook_path(shell)
    saved = read_notebook(Path(path)) if path else None
    runs = executions(shell)
    found = trace(runs, bound_to(obj, list(shell.user_ns.items())) if obj is not None else ())
    said = warnings(found, runs, saved) if saved is not None else ()
    matches = [saved.find(run) if saved is not None and not run.cell_id else None for run in runs]
    cells = (
        Cell(run.cell_id or (match.id if match else ""), run.execution_count, run.source)
        for run, match in zip(runs, matches, strict=True)
    )
    return NotebookState(path, tuple(cells), said, tuple(run.execution_count for run in found.producers))


def current_shell() -> Any:
    """Return IPython's shell of this process, or None outside of one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def notebook_path(shell: Any) -> str:
    """Return the notebook's absolute path as its front end tells it, or nothing.

    VS Code puts it into the namespace, Jupyter Server into ``JPY_SESSION_NAME``; a program that runs notebooks
    headlessly may say it in ``NBMLOPS_NOTEBOOK``.
    """
    told = (
        os.environ.get("NBMLOPS_NOTEBOOK"),
        shell.user_ns.get("__vsc_ipynb_file__"),
        os.environ.get("JPY_SESSION_NAME"),
    )
    paths = (path for path in told if isinstance(path, str) and path.endswith(".ipynb"))
    return next((os.fspath(Path(path).absolute()) for path in paths), "")


def _script() -> str:
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.fspath(Path(script).absolute()) if isinstance(script, str) else ""


def executions(shell: Any) -> tuple[Run, ...]:
    """Return every execution of the session in its order, with what the recorder saw of it, if one listens."""
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", [])
    listening = recorder(shell)
    return tuple(_run(count, source, listening) for count, source in enumerate(history) if count and source.strip())


def _run(count: int, source: str, listening: Recorder | None) -> Run:
    if listening is None:
        return Run(count, source)
    seen = listening.executions.get(count)
    if seen is not None and seen.source == source:
        return Run(count, source, seen.cell_id, seen.started_at, seen.bound, seen.succeeded)
    if listening.running[1] == source and count > max(listening.executions, default=0):
        return Run(count, source, listening.running[0])
    # It ran before the recorder began; the cell that began it is still running
    before = count <= min(listening.executions, default=0)
    return Run(count, source, started_at=listening.started_at if before else None)
