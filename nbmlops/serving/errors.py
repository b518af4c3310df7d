"""Errors of the server: what a caller did wrong, and what a bundle or a configuration has wrong."""

from __future__ import annotations

from .failures import Failure, failure_of, text_of


class RequestError(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        The HTTP status.
    code : str
        A stable name that a program can test for.
    message : str
        One sentence for a person. Never holds the data that was sent.
    field : str, optional
        The part of the request that is wrong, as a path or a column's name.
    expected : str, optional
        What would have been taken there.
    """

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, expected: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.expected = expected

    def body(self) -> dict[str, dict[str, str | None]]:
        """Return the JSON object that answers the request."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field, "expected": self.expected}}


def malformed(message: str, *, field: str = "body", expected: str | None = None) -> RequestError:
    """Return the error for a request whose form can't be read (400)."""
    return RequestError(400, "malformed_request", message, field=field, expected=expected)


def invalid(message: str, *, field: str | None = None, expected: str | None = None) -> RequestError:
    """Return the error for a request that does not fit the model's signature (422)."""
    return RequestError(422, "invalid_input", message, field=field, expected=expected)


class ServingError(Exception):
    """A bundle or a configuration that can't be served.

    Parameters
    ----------
    code : str
        ``invalid_bundle``, ``corrupt_bundle``, ``invalid_configuration``, ``model_failed``, ``provider_unavailable``
        or ``worker_unreachable``.
    message : str
        What was found and what was expected.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ModelFailed(Exception):
    """The model raised; what it raised is for the local error store alone.

    Parameters
    ----------
    traceback : str
        The traceback's text, which may quote the caller's data.
    failure : Failure, optional
        The same as plain data; None where the model raised nothing itself.
    """

    def __init__(self, traceback: str, failure: Failure | None = None) -> None:
        super().__init__("the model raised an error")
        self.traceback = traceback
        self.failure = failure

    @classmethod
    def of(cls, error: BaseException) -> ModelFailed:
        """Return the error that says what a model raised."""
        failure = failure_of(error)
        return cls(text_of(failure), failure)


class WorkerUnavailable(Exception):
    """The worker process of an arm can't be reached at the moment."""
