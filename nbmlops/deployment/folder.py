"""The folder of one running endpoint: what it is, who runs it, its token, its log, its lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbmlops.core.errors import Corrupt
from nbmlops.core.workspace import storage_errors

TAIL_BYTES = 256 * 1024  # of each log file, enough for the lines that anybody reads


@dataclass(frozen=True)
class RunFolder:
    """``.nbmlops/run/<endpoint>``: everything that a later kernel needs to find and judge the endpoint."""

    path: Path

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def token(self) -> Path:
        return self.path / "token"

    @property
    def earlier_tokens(self) -> Path:
        """Tokens from before a rotation, mode 0600."""
        return self.path / "earlier_tokens.json"

    @property
    def errors(self) -> Path:
        """Requests that failed, with their tracebacks."""
        return self.path / "errors"

    @property
    def counts(self) -> Path:
        """Counts that the scorers share."""
        return self.path / "counts"

    @property
    def log(self) -> Path:
        """What scorers, workers and the supervisor say; rotated."""
        return self.path / "endpoint.log"

    @property
    def stderr(self) -> Path:
        """The supervisor's own standard error: empty unless it fails."""
        return self.path / "supervisor.log"

    @property
    def lock(self) -> Path:
        """Held by the living supervisor."""
        return self.path / "supervisor.lock"

    def create(self) -> None:
        """Make the folder (mode 0700) and its token (mode 0600) where they are missing."""
        with storage_errors(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.token.exists():
                write_private(self.token, secrets.token_urlsafe(32))

    def read(self, file: Path) -> dict[str, Any]:
        """Return the JSON object in `file`, empty where there is none.

        Raises
        ------
        Corrupt
            When the file holds something else.
        """
        try:
            data = json.loads(file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise Corrupt(f"{file} is no JSON", hint="Undeploy the endpoint and deploy it again.") from error
        if not isinstance(data, dict):
            raise Corrupt(f"{file} holds no JSON object", hint="Undeploy the endpoint and deploy it again.")
        return data

    def alive(self) -> bool:
        """Whether a supervisor holds the lock; the system frees it with the process, so pids may be reused."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def last_lines(self, lines: int) -> list[str]:
        """Return the last `lines` lines of the log, older rotated part first, then the supervisor's own errors."""
        files = [self.log.with_suffix(".log.1"), self.log, self.stderr]
        return [line for file in files for line in _tail(file)][-lines:]


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file of mode 0600."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with storage_errors(path):
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        draft.replace(path)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replace `path` in one step by `data` as JSON, mode 0600."""
    write_private(path, json.dumps(data, indent=1))


def take_lock(path: Path, patience: float = 2.0) -> bool:
    """Hold an exclusive lock on `path` until this process ends; False where another process keeps holding it.

    Parameters
    ----------
    patience : float, seconds
        Somebody who only looks whether the lock is held holds it for an instant.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return False
            time.sleep(0.02)
        else:
            return True


def socket_key(folder: Path) -> str:
    """Return a short name for the sockets of the endpoint in `folder` (a socket's path holds 108 bytes)."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]


def _tail(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            return stream.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
