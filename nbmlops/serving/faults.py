"""The error store: requests that failed, with their tracebacks, where only this machine's user finds them.

It is one SQLite file that several scorers write to, of bounded size and age, and can be erased: what it holds may quote
a caller's data. Writing happens in a thread of its own and never fails a request; of a flood, a few a second are kept
and the rest is counted.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from .configuration import MemberConfig
from .errors import ModelFailed
from .failures import Failure, Raised, failure_of, text_of
from .faultfile import KEPT_HEADERS, Fault, FaultFile, Keeping
from .redaction import Opaque, redacted

if TYPE_CHECKING:
    from .scoring import Exchange

LONGEST_TEXT = 20_000  # characters of one traceback on stderr
PLACES = 1000  # distinct places of failure whose rates are told apart
BATCH = 50
LAST_WORDS = 2.0  # seconds to write what is pending when the process ends


class ErrorStore:
    """Keeps faults; whoever calls it never waits and never gets an error.

    Parameters
    ----------
    folder : str, optional
        Where the file lies; None keeps nothing.
    redact : sequence of str
        Columns that are never written.
    keeping : Keeping
        How much is kept, for how long.

    Attributes
    ----------
    unkept : int
        Faults that were counted and not kept: alike ones of a flood, or more than could be written in time.
    lost : int
        Faults that could not be written.
    """

    def __init__(
        self, folder: str | None = None, *, redact: Sequence[str] = (), keeping: Keeping | None = None
    ) -> None:
        self.unkept = 0
        self.lost = 0
        self._keeping = keeping or Keeping()
        self._rates = Rates(self._keeping.per_second)
        self._queue: queue.SimpleQueue[Fault | threading.Event] = queue.SimpleQueue()
        self._pending = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._folder = folder
        self._redact = tuple(redact)

    def open(self, folder: str | None, redact: Sequence[str] = ()) -> None:
        """Write into `folder` from now on."""
        self._folder, self._redact = folder, tuple(redact)

    def add(self, fault: Fault) -> bool:
        """Take a fault to be written soon; False where it is only counted."""
        if self._folder is None:
            return False
        alike = self._rates.admit(fault.place, monotonic())
        if alike is None or self._pending + fault.size > self._keeping.pending_bytes:
            self.unkept += 1
            return False
        fault.alike = alike
        with self._lock:
            self._pending += fault.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="errors", daemon=True)
                self._thread.start()
        self._queue.put(fault)
        return True

    def flush(self, timeout: float = LAST_WORDS) -> bool:
        """Wait until everything taken so far is written; False where that took longer than `timeout` seconds."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._queue.put(written)
        return written.wait(timeout)

    def _work(self) -> None:
        while True:
            taken = [self._queue.get()]
            while len(taken) < BATCH and not self._queue.empty():
                taken.append(self._queue.get())
            faults = [one for one in taken if isinstance(one, Fault)]
            if faults:
                self._write(faults)
            for one in taken:
                if isinstance(one, threading.Event):
                    one.set()

    def _write(self, faults: list[Fault]) -> None:
        folder, size = self._folder, sum(fault.size for fault in faults)
        try:
            if folder is not None:
                kept = [self._as_kept(fault) for fault in faults]
                FaultFile(folder).write(kept, self._keeping)
                for fault in kept:
                    say(fault)
        except Exception as error:  # noqa: BLE001 - a full disk, a broken file: scoring goes on, and the log says so
            self.lost += len(faults)
            print(f"{len(faults)} errors could not be kept: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        finally:
            with self._lock:
                self._pending -= size

    def _as_kept(self, fault: Fault) -> Fault:
        """Leave out what is not to be written, and say so."""
        if self._redact:
            fault.missing.append(f"columns {', '.join(self._redact)} (redacted)")
            fault.failure = fault.failure.quiet() if fault.failure else None
            if fault.body is not None:
                try:
                    fault.body = redacted(fault.body, fault.content_type, hidden=self._redact, columns=fault.columns)
                except Opaque:
                    fault.body = None
                    fault.missing.append("the body (its redacted columns could not be told from the others)")
        if fault.body is not None and len(fault.body) > self._keeping.body_bytes:
            fault.missing.append(f"the body ({len(fault.body):,} bytes)")
            fault.body = None
        return fault


def fault_of(exchange: Exchange, error: Exception, code: str) -> Fault:
    """Return what is kept of an exchange that failed."""
    if isinstance(error, ModelFailed):
        failure = error.failure or Failure([Raised("ModelFailed", error.traceback)])
    else:
        failure = failure_of(error)
    arm, headers = exchange.arm, exchange.head.headers
    columns = arm.bundle.signature.columns
    return Fault(
        prediction=exchange.prediction,
        arm=arm.config.name,
        model=arm.config.model,
        version=arm.config.version,
        bundle=arm.bundle.digest,
        wire=exchange.wire.name,
        path=exchange.head.path,
        headers={name.decode(): headers[name].decode("latin-1") for name in KEPT_HEADERS if name in headers},
        body=bytes(exchange.body),
        answer=exchange.answer.body,
        status=exchange.answer.status,
        code=code,
        failure=failure,
        columns=None if columns is None else [column.name for column in columns],
        # A bundle's folder is named by its digest; where it lies is this process's own matter.
        members=[MemberConfig(one.model, one.version, Path(one.bundle).name, one.weight) for one in arm.config.members],
        combine=arm.config.combine,
    )


class Rates:
    """Lets a few faults of each place through each second, and counts the rest.

    Parameters
    ----------
    per_second : int
        For one place; ten times as many for all of them together.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._second = 0
        self._total = 0
        self._counts: dict[object, int] = {}
        self._unkept: dict[object, int] = {}

    def admit(self, place: object, now: float) -> int | None:
        """Return how many of this place were turned away since the last that was let through; None turns away."""
        if int(now) != self._second:
            self._second, self._total, self._counts = int(now), 0, {}
        if self._total >= 10 * self._per_second or self._counts.get(place, 0) >= self._per_second:
            if place in self._unkept or len(self._unkept) < PLACES:
                self._unkept[place] = self._unkept.get(place, 0) + 1
            return None
        self._total += 1
        self._counts[place] = self._counts.get(place, 0) + 1
        return self._unkept.pop(place, 0)


def say(fault: Fault) -> None:
    """Write one line about a fault to the log: its id, where and of which class, nothing that it says."""
    kind = fault.failure.kind if fault.failure else fault.code
    alike = f" ({fault.alike} more like it were not kept)" if fault.alike else ""
    print(f"{fault.prediction} arm={fault.arm} {kind}{alike}", file=sys.stderr)  # noqa: T201


def say_where(fault: Fault) -> None:
    """Write where a fault was raised to stderr, without what the exceptions say: that may quote the caller's data."""
    if fault.failure is not None:
        text = text_of(fault.failure, messages=False)[-LONGEST_TEXT:]
        print(f"{fault.prediction} arm={fault.arm}\n{text}", file=sys.stderr)  # noqa: T201
