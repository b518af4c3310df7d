"""Errors. A message says what was received, what was expected and what to do next."""

from __future__ import annotations


class NbmlopsError(Exception):
    """Base of every error that nbmlops raises on purpose.

    Parameters
    ----------
    message : str
        What was received and why it can't be taken, in one sentence.
    expected : str, optional
        What would have been taken.
    hint : str, optional
        The exact next step.
    """

    def __init__(self, message: str, *, expected: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.expected = expected
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.expected:
            parts.append(f"Expected {self.expected}.")
        if self.hint:
            parts.append(self.hint)
        return " ".join(part if part.endswith((".", "?", "!", ":")) else f"{part}." for part in parts)


class InvalidInput(NbmlopsError, ValueError):
    """An argument has the right type but a value that can't be taken (a name, a frame, a column)."""


class InvalidObject(NbmlopsError, TypeError):
    """An object is not of a kind that nbmlops can register, serve or read."""


class NotFound(NbmlopsError, LookupError):
    """A reference names nothing that exists; the message lists the nearest names."""


class Refused(NbmlopsError, RuntimeError):
    """A guard said no: the act would harm something in use."""


class Untrusted(Refused):
    """Loading would run code from a file that this workspace did not register."""


class Corrupt(NbmlopsError, ValueError):
    """Stored content does not match its digest, or a chain does not verify."""


class StorageError(NbmlopsError, OSError):
    """The workspace can't be read or written (full, read-only, on a network file system, locked)."""

    # OSError's own __str__ would print errno and strerror, which are not set here.
    __str__ = NbmlopsError.__str__


class EndpointError(NbmlopsError, ConnectionError):
    """An endpoint could not be started, reached or changed."""

    __str__ = NbmlopsError.__str__


class ScoringError(NbmlopsError, RuntimeError):
    """A request reached the endpoint and was answered with an error.

    Attributes
    ----------
    status : int
        The HTTP status.
    code : str
        The error's code in the response.
    prediction_id : str
        Under which the endpoint knows the request; empty where it gave none.
    traceback : str
        What was raised in the server, where this machine can know it; else empty.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        expected: str | None = None,
        hint: str | None = None,
        prediction_id: str = "",
    ) -> None:
        super().__init__(message, expected=expected, hint=hint)
        self.status = status
        self.code = code
        self.prediction_id = prediction_id
        self.traceback = ""


class MissingExtra(NbmlopsError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


LIBRARY_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a library may fail with that is handed a model which it does not know: it stumbles wherever it first does."""
