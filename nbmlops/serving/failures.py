"""What was raised, as plain data: it goes from a worker to its scorer, into the error store and back to a notebook."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterator
from itertools import dropwhile
from types import TracebackType

import msgspec

MOST_LINKS = 10  # of a chain of causes
FIRST_FRAMES, LAST_FRAMES = 20, 40  # of one exception: endless recursion makes a thousand of them
LONGEST_MESSAGE = 10_000  # characters
LONGEST_LINE = 300  # characters of source
WITHHELD = "[left out: it may quote redacted columns]"

CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

# Between the caller and the model: the server, MLflow's wrappers, the thread that called.
PLUMBING = (
    "/nbmlops/serving/",
    "/nbmlops_serving/",
    "/nbmlops/registry/formats.py",
    "/nbmlops/workflows/script.py",
    "/nbmlops/workflows/replay",
    "/site-packages/mlflow/",
    "/concurrent/futures/",
)


def is_plumbing(file: str) -> bool:
    """Tell whether code in `file` is the server's own, which says nothing about the model."""
    return any(part in file for part in PLUMBING)


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """One line of a traceback; `source` is empty where the file's text is not at hand."""

    file: str
    line: int
    function: str
    source: str = ""

    @property
    def plumbing(self) -> bool:
        """Whether it is the server's own and says nothing about the model."""
        return is_plumbing(self.file)


class Raised(msgspec.Struct, frozen=True, array_like=True):
    """One exception of a chain.

    Attributes
    ----------
    kind : str
        Its class, with the module unless that is builtins.
    message : str
        What it says, notes included. It may quote the caller's data.
    frames : list of Frame
        The outermost first.
    link : str
        How the exception before it in the chain led to it: ``cause``, ``context``, or empty for the first.
    """

    kind: str
    message: str
    frames: list[Frame] = []
    link: str = ""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An exception with what led to it, the one that was raised last."""

    chain: list[Raised]

    @property
    def kind(self) -> str:
        """Class of the exception that was raised."""
        return self.chain[-1].kind

    @property
    def frames(self) -> list[Frame]:
        """Where it was raised, without the server's own frames."""
        return trimmed(self.chain[-1].frames)

    @property
    def where(self) -> Frame | None:
        """The innermost frame."""
        return self.chain[-1].frames[-1] if self.chain[-1].frames else None

    def quiet(self) -> Failure:
        """Return where and what was raised, without what the exceptions say: that may quote redacted columns."""
        return Failure([Raised(one.kind, one.message and WITHHELD, one.frames, one.link) for one in self.chain])


def failure_of(error: BaseException) -> Failure:
    """Return what an exception says, without keeping it: its frames hold the caller's data alive."""
    return Failure(list(reversed(list(_links(error)))))


def _links(error: BaseException) -> Iterator[Raised]:
    """Yield an exception and what led to it, the newest first."""
    following: BaseException | None = error
    seen: set[int] = set()
    while following is not None and id(following) not in seen and len(seen) < MOST_LINKS:
        current, link = following, ""
        seen.add(id(current))
        if current.__cause__ is not None:
            following, link = current.__cause__, "cause"
        elif current.__context__ is not None and not current.__suppress_context__:
            following, link = current.__context__, "context"
        else:
            following = None
        yield Raised(_kind(current), _message(current), list(_frames(current.__traceback__)), link)


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception_only(error)).rstrip()
    except Exception as broken:  # noqa: BLE001 - the user's own class, which may raise anything when it is asked
        return f"<its message can't be read: {type(broken).__name__}>"
    # Of a syntax error the class comes last, after the place.
    return text.removeprefix(f"{_kind(error)}").removeprefix(": ")[:LONGEST_MESSAGE]


def _frames(trace: TracebackType | None) -> Iterator[Frame]:
    steps = list(traceback.walk_tb(trace))
    if len(steps) > FIRST_FRAMES + LAST_FRAMES:
        steps = steps[:FIRST_FRAMES] + steps[-LAST_FRAMES:]
    for frame, line in steps:
        code = frame.f_code
        source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
        yield Frame(code.co_filename, line, code.co_qualname, source[:LONGEST_LINE])


def trimmed(frames: list[Frame]) -> list[Frame]:
    """Return frames from the first that is the model's on; all of them where none is."""
    return list(dropwhile(lambda frame: frame.plumbing, frames)) or frames


def text_of(failure: Failure, *, messages: bool = True, trim: bool = False) -> str:
    """Return a failure as Python prints it.

    Parameters
    ----------
    messages : bool, default True
        False leaves out what the exceptions say, and so the caller's data.
    trim : bool, default False
        Leave out the server's own frames.
    """
    parts: list[str] = []
    for place, raised in enumerate(failure.chain):
        if place:
            parts.append(CAUSE if raised.link == "cause" else CONTEXT)
        frames = trimmed(raised.frames) if trim else raised.frames
        if frames:
            parts.append("Traceback (most recent call last):\n")
        parts += [_line(frame) for frame in frames]
        parts.append(f"{raised.kind}: {raised.message}\n" if messages and raised.message else f"{raised.kind}\n")
    return "".join(parts)


def _line(frame: Frame) -> str:
    line = f'  File "{frame.file}", line {frame.line}, in {frame.function}\n'
    return f"{line}    {frame.source}\n" if frame.source else line
