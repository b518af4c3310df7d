"""A request and its answer, as whatever speaks HTTP hands them to the application and gets them back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[bytes, bytes]]
JSON = b"application/json"


@dataclass(slots=True)
class Head:
    """A request without its body.

    Attributes
    ----------
    method : str
    path : str
        Without percent-encoding and query.
    query : str
        What stood behind ``?``, as it came.
    headers : dict of bytes to bytes
        By name in lower case; of a repeated one, the last.
    """

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]


@dataclass(slots=True)
class Answer:
    """A complete answer; content type and length are written by whoever sends it."""

    status: int
    body: bytes
    kind: bytes = JSON
    headers: Headers = ()


Reply = Callable[[Answer], None]
