"""Errors of a magic: one clear line in the cell, and everything else through ``%tb``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from nbmlops.core.errors import NbmlopsError

RED, PLAIN = "\x1b[31m", "\x1b[0m"
READING = ("/nbmlops/notebook/", "/nbmlops/workflows/", "/typer/", "/click/")
SHORT_FORM = "_render_traceback_"  # IPython asks an error for this before it formats the traceback itself


def one_line(error: BaseException) -> str:
    """Return the error's class and message."""
    return f"{RED}{type(error).__name__}{PLAIN}: {error}"


@contextmanager
def shown_in_one_line() -> Iterator[None]:
    """Let an error of nbmlops' own leave the block as an error that shows itself in one line.

    It is still raised: Run all stops, and nbclient and papermill see it.
    """
    try:
        yield
    except NbmlopsError as error:
        line = one_line(error)
        setattr(error, SHORT_FORM, lambda: [line])
        raise


def from_the_verb_on(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames that read the line: an error of the user's own code begins with that."""
    inner = trace
    while inner is not None and any(part in inner.tb_frame.f_code.co_filename for part in READING):
        inner = inner.tb_next
    return inner or trace


def forget_short_form(info: Any = None) -> None:
    """Give the last error its full traceback back, so that ``%tb`` in a later cell shows it."""
    last = getattr(sys, "last_value", None)
    if isinstance(last, NbmlopsError):
        vars(last).pop(SHORT_FORM, None)
