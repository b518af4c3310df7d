"""An answer as the bytes of HTTP/1.1."""

from __future__ import annotations

from http import HTTPStatus

from .exchange import Answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def to_bytes(answer: Answer, date: bytes, *, keep_alive: bool, with_body: bool) -> bytes:
    """Return status line, headers and body.

    Parameters
    ----------
    answer : Answer
    date : bytes
        The ``Date`` header's value.
    keep_alive : bool
        False tells the caller that the connection ends.
    with_body : bool
        False for the answer to ``HEAD``.
    """
    body = answer.body
    more = b"" if keep_alive else b"connection: close\r\n"
    for pair in answer.headers:
        more += b"%b: %b\r\n" % pair
    return b"%bdate: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        _LINES[answer.status], date, answer.kind, len(body), more, body if with_body else b"",
    )  # fmt: skip
