"""The chain's head, kept outside the database: a chain alone does not show that its tail was cut."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from nbmlops.core.errors import Corrupt, StorageError
from nbmlops.core.workspace import storage_errors
from nbmlops.journal.events import GENESIS

LOCK_SECONDS = 30


@dataclass(frozen=True)
class Head:
    """The last event that was seen committed."""

    sequence: int = 0
    hash: str = GENESIS


@dataclass(frozen=True)
class HeadFile:
    """A small file that remembers how far the journal had come.

    It is written after each commit, so that it may lag behind the database after a crash, but is never ahead of it
    unless the journal lost its tail.
    """

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held while the file is compared and replaced, so that it never goes back."""
        with storage_errors(self.path):
            try:
                with FileLock(f"{self.path}.lock", timeout=LOCK_SECONDS, mode=0o600):
                    yield
            except Timeout as error:
                hint = "Another process holds it: end that process or wait, then run it again."
                raise StorageError(f"{self.path} was locked for {LOCK_SECONDS} s", hint=hint) from error

    def read(self) -> Head:
        """Return what was remembered; the empty journal's head where there is no file.

        Raises
        ------
        Corrupt
            When the file is not what :meth:`advance` writes.
        """
        try:
            content = json.loads(self.path.read_text())
            return Head(int(content["sequence"]), str(content["hash"]))
        except FileNotFoundError:
            return Head()
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(
                f"{self.path} does not hold the journal's head",
                expected='{"sequence": …, "hash": "sha256:…"}',
                hint="Check the journal with nbmlops verify; remove the file to accept the journal as it stands.",
            ) from error

    def advance(self, head: Head) -> None:
        """Remember `head` unless a later one is known; the file is replaced whole or not at all."""
        with self.locked():
            if self.read().sequence >= head.sequence:
                return
            descriptor, name = tempfile.mkstemp(prefix=f"{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "w") as stream:
                    json.dump(asdict(head), stream)
                    stream.flush()
                    os.fsync(stream.fileno())
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
