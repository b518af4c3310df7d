"""Progress under a cell: one line that tells the stages of long work and ends as a summary of where the time went."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from nbmlops.core.display import Html
from nbmlops.core.progress import Listener

WORTH_TELLING = 0.5  # seconds; a verb that took less needs no summary
WORTH_NAMING = 0.05  # seconds; a stage that took less is left out of it


class StageLine:
    """Stages with their seconds, shown as one line.

    Parameters
    ----------
    show : callable
        Takes the line (`Html`) and puts it where the one before was.
    """

    def __init__(self, show: Any) -> None:
        self.show = show
        self.done: dict[str, float] = {}
        self.now: tuple[str, float] | None = None

    def announce(self, text: str) -> None:
        """Close the running stage and show that `text` has begun."""
        self._close()
        self.now = (text, time.monotonic())
        self.show(_line([*self._said(), f"{text} …"]))

    def end(self, *, failed: bool) -> None:
        """Replace the line by what was done and how long it took; nothing where it took no time."""
        if self.now is None:
            return
        running = self.now[0]
        self._close()
        if failed:
            self.done.pop(running)
            self.show(_line([*self._said(), f"stopped while {running}"]))
        elif sum(self.done.values()) >= WORTH_TELLING:
            self.show(_line(self._said()))
        else:
            self.show(Html("", ""))

    def _close(self) -> None:
        if self.now is not None:
            text, started = self.now
            self.done[text] = self.done.get(text, 0.0) + time.monotonic() - started
            self.now = None

    def _said(self) -> list[str]:
        return [f"{text} {seconds:.1f} s" for text, seconds in self.done.items() if seconds >= WORTH_NAMING]


def _line(parts: list[str]) -> Html:
    text = " · ".join(parts)
    return Html(f'<small style="opacity:.75">{html.escape(text)}</small>', text)


@contextmanager
def stage_line(shell: InteractiveShell) -> Iterator[Listener]:
    """Give a listener that shows stages in the running cell's output, or on stderr in a terminal."""
    line = StageLine(_updating() if hasattr(shell, "kernel") else _print)
    try:
        yield line.announce
    except BaseException:
        line.end(failed=True)
        raise
    line.end(failed=False)


def _updating() -> Any:
    from IPython.display import DisplayHandle

    handle: Any = None

    def show(line: Html) -> None:
        nonlocal handle
        mime = {"text/html": line.html, "text/plain": line.text}
        if handle is None:
            handle = DisplayHandle()  # type: ignore[no-untyped-call]
            handle.display(mime, raw=True)
        else:
            handle.update(mime, raw=True)

    return show


def _print(line: Html) -> None:
    if line.text:
        print(line.text, file=sys.stderr)  # noqa: T201
