"""Everything at once, for a registration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbmlops.capture.data import Fingerprint, fingerprint
from nbmlops.capture.environment import Environment, capture_environment
from nbmlops.capture.git import GitState, capture_git
from nbmlops.capture.machine import Machine, capture_machine
from nbmlops.capture.notebook import NotebookState, capture_notebook, current_shell
from nbmlops.capture.sources import cell_sources
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record
from nbmlops.core.workspace import Workspace


@dataclass(frozen=True)
class Captured(Record):
    """What a model came from.

    Attributes
    ----------
    environment : Environment
    machine : Machine
    git : GitState
    notebook : NotebookState
    data : Fingerprint or None
        None where no data was given.
    sources : mapping of str to str
        Text of the functions of notebook cells that are stored with the model (`nbmlops.capture.sources`).
    """

    environment: Environment
    machine: Machine
    git: GitState
    notebook: NotebookState
    data: Fingerprint | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


def capture(obj: Any, data: Any = None, *, shell: Any = None, root: Path | None = None) -> Captured:
    """Capture what `obj` came from, out of the live process.

    Parameters
    ----------
    obj : object
        The model.
    data : table or array, optional
        What it was fitted on.
    shell : IPython.core.interactiveshell.InteractiveShell, optional
        Default: that of this process, if there is one.
    root : pathlib.Path, optional
        The project's root. Default: that of the workspace.

    Raises
    ------
    InvalidInput
        When `data` has no rows, or can't be digested.
    """
    root = root or Workspace.find().root
    found = None if data is None else fingerprint(data)
    if found is not None and not found.rows:
        raise InvalidInput(
            "the data has no rows",
            expected="the rows that the model was fitted on",
            hint="Check the filter that made it; data may also be left out.",
        )
    shell = shell if shell is not None else current_shell()
    names = None if shell is None else shell.user_ns
    environment = capture_environment(*(obj,) if data is None else (obj, data), root=root, namespace=names)
    notebook = capture_notebook(shell, obj=obj)
    return Captured(environment, capture_machine(), capture_git(root), notebook, found, cell_sources(obj))
