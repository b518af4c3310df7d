"""A notebook's shell for tests: real IPython in this process, without history on disk and without a terminal."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


@dataclass(frozen=True)
class CellRun:
    """What running a cell gave.

    Attributes
    ----------
    result : object
        The value of the cell's last expression.
    stdout, stderr : str
        What was printed; IPython prints tracebacks to stdout.
    error : BaseException or None
        What stopped the cell.
    shown : tuple of dict
        MIME bundles that were displayed on the way.
    """

    result: Any
    stdout: str
    stderr: str
    error: BaseException | None
    shown: tuple[dict[str, Any], ...]


class Notebook:
    """Cells run one after another in one namespace."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's variables."""
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def run(self, source: str) -> CellRun:
        """Run a cell and return everything that a user would see of it."""
        with capture_output() as captured:
            done = self.shell.run_cell(source, store_history=True)
        shown = tuple(output.data for output in captured.outputs)
        error = done.error_before_exec or done.error_in_exec
        return CellRun(done.result, captured.stdout, captured.stderr, error, shown)

    def complete(self, text: str) -> list[str]:
        """Return the lines that the Tab key would offer at the end of `text`."""
        with provisionalcompleter():
            found = list(self.shell.Completer.completions(text, len(text)))
        return [text[: one.start] + one.text for one in found]


@contextmanager
def notebook() -> Iterator[Notebook]:
    """Give a fresh notebook with ``%load_ext nbmlops``; the process is left as it was.

    >>> with notebook() as cells:
    ...     cells.run("1 + 1").result
    2
    """
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    main, hooks = sys.modules.get("__main__"), (sys.displayhook, sys.excepthook)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    try:
        shell.run_line_magic("load_ext", "nbmlops")
        yield Notebook(shell)
    finally:
        shell.run_line_magic("unload_ext", "nbmlops")
        # The end of the process would do this for every shell at once, each with a collection of all its garbage.
        shell.displayhook.do_full_cache = False
        atexit.unregister(shell.atexit_operations)
        shell.atexit_operations()  # type: ignore[no-untyped-call]
        InteractiveShell.clear_instance()
        sys.displayhook, sys.excepthook = hooks
        if main is not None:
            sys.modules["__main__"] = main
