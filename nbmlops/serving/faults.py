"""The local error log: tracebacks, which may quote a caller's data and so never leave the machine."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import traceback

MAX_BYTES = 2**20
_FORMAT = "%(asctime)s %(message)s"


class FaultLog:
    """Writes tracebacks to a file of bounded size, readable by its owner alone, or to stderr.

    Parameters
    ----------
    path : str, optional
        The file; None is stderr. When it is full it becomes ``path.1``, and the one before that is dropped.
    """

    def __init__(self, path: str | None) -> None:
        self._logger = logging.Logger("faults")
        self._path: str | None = None
        self._use(logging.StreamHandler(sys.stderr))
        self.open(path)

    def open(self, path: str | None) -> None:
        """Write to `path` from now on."""
        if path == self._path:
            return
        self._path = path
        self._use(logging.StreamHandler(sys.stderr) if path is None else _OwnFile(path))

    def _use(self, handler: logging.Handler) -> None:
        for old in list(self._logger.handlers):
            self._logger.removeHandler(old)
            old.close()
        handler.setFormatter(logging.Formatter(_FORMAT))
        self._logger.addHandler(handler)

    def write(self, prediction: str, arm: str, text: str) -> None:
        """Write one fault under its prediction id."""
        self._logger.error("%s arm=%s\n%s", prediction, arm, text[-20_000:])

    def write_exception(self, prediction: str, arm: str, error: BaseException) -> None:
        """Write one exception under its prediction id."""
        self.write(prediction, arm, "".join(traceback.format_exception(error)))


class _OwnFile(logging.handlers.RotatingFileHandler):
    def __init__(self, path: str) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=True)

    def _open(self):  # type: ignore[no-untyped-def]
        descriptor = os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")
