"""Listens to the kernel from ``%load_ext`` on: which cell ran, when, and which names it bound.

IPython's own history knows the sources; what it does not keep are the notebook's cell ids, the time, whether a cell
failed, and names that were bound by other means than an assignment in the cell's text (``%run``, ``exec``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ATTRIBUTE = "_nbmlops_recorder"


@dataclass(frozen=True)
class Execution:
    """One execution of a cell, as it was seen.

    Attributes
    ----------
    execution_count : int
        The number in ``In [n]``.
    cell_id : str
        Empty where the front end sends none.
    source : str
    started_at : float, seconds since the epoch
    bound : frozenset of str
        Top-level names that were bound to another object than before.
    succeeded : bool
    """

    execution_count: int
    cell_id: str
    source: str
    started_at: float
    bound: frozenset[str] = frozenset()
    succeeded: bool = True


class Recorder:
    """Keeps the executions of one shell; registered by `watch`."""

    def __init__(self, shell: Any) -> None:
        self.started_at = time.time()
        self.executions: dict[int, Execution] = {}
        self.running: tuple[str, str] = ("", "")  # id and source of the cell that runs now
        self._began = self.started_at
        self._names: Mapping[str, Any] = shell.user_ns
        self._before: dict[str, int] | None = None

    def pre_run_cell(self, info: Any) -> None:
        """Note what runs, and what each name is bound to before."""
        self.running = (str(info.cell_id or ""), info.raw_cell)
        self._began = time.time()
        self._before = self._bindings()

    def post_run_cell(self, result: Any) -> None:
        """Keep what ran; a silent execution has no number and is left out."""
        before, self._before = self._before, None
        info, self.running = result.info, ("", "")
        if result.execution_count is None or info is None or not info.store_history:
            return
        after = self._bindings()
        bound = {name for name, value in after.items() if before is not None and before.get(name) != value}
        count = int(result.execution_count)
        cell_id = str(info.cell_id or "")
        self.executions[count] = Execution(
            count, cell_id, info.raw_cell, self._began, frozenset(bound), bool(result.success)
        )

    def _bindings(self) -> dict[str, int]:
        return {name: id(value) for name, value in list(self._names.items()) if not name.startswith("_")}


def watch(shell: Any) -> Recorder:
    """Start to listen to `shell`, once; returns the recorder that listens already if there is one."""
    found = recorder(shell)
    if found is None:
        found = Recorder(shell)
        setattr(shell, _ATTRIBUTE, found)
        shell.events.register("pre_run_cell", found.pre_run_cell)
        shell.events.register("post_run_cell", found.post_run_cell)
    return found


def unwatch(shell: Any) -> None:
    """Stop to listen to `shell`, and forget what ran."""
    found = recorder(shell)
    if found is not None:
        shell.events.unregister("pre_run_cell", found.pre_run_cell)
        shell.events.unregister("post_run_cell", found.post_run_cell)
        delattr(shell, _ATTRIBUTE)


def recorder(shell: Any) -> Recorder | None:
    """Return the recorder that listens to `shell`, or None."""
    found = getattr(shell, _ATTRIBUTE, None)
    return found if isinstance(found, Recorder) else None
