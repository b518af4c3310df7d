"""Stages of long work: a verb announces them, a face that listens shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("nbmlops_stage_listener", default=None)


def stage(text: str) -> None:
    """Announce what happens from now on, in a few words (``"converting to ONNX"``).

    Nothing happens where no face listens, so a library may call it anywhere.
    """
    listener = _listener.get()
    if listener is not None:
        listener(text)


@contextmanager
def stages(listener: Listener) -> Iterator[None]:
    """Send every `stage` announced inside the block, in this context, to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
