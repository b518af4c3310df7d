"""The notebook: its path, the cells that ran, and whether the saved file still tells how the model was made."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.core.records import Record


@dataclass(frozen=True)
class Cell(Record):
    """One execution of a cell.

    Attributes
    ----------
    id : str
        The notebook's own id of the cell, where the front end sends it; else empty.
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
        One sentence each.
    """

    path: str = ""
    cells: tuple[Cell, ...] = ()
    warnings: tuple[str, ...] = ()


def current_shell() -> Any:
    """Return IPython's shell of this process, or None outside of one."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def notebook_path(shell: Any) -> str:
    """Return the notebook's path as its front end tells it, else the running script's, else nothing."""
    names = getattr(shell, "user_ns", {})
    told = (names.get("__vsc_ipynb_file__"), os.environ.get("NBMLOPS_NOTEBOOK"), os.environ.get("JPY_SESSION_NAME"))
    for path in told if shell is not None else ():
        if isinstance(path, str) and path.endswith(".ipynb"):
            return os.fspath(Path(path).absolute())
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return os.fspath(Path(script).absolute()) if shell is None and isinstance(script, str) else ""


def executed_cells(shell: Any) -> tuple[Cell, ...]:
    """Return the cells of IPython's history in the order of their execution."""
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", [])
    return tuple(Cell("", count, source) for count, source in enumerate(history) if count and source)


def capture_notebook(shell: Any = None) -> NotebookState:
    """Return the notebook's path and the cells that ran."""
    shell = shell if shell is not None else current_shell()
    return NotebookState(notebook_path(shell), executed_cells(shell))
