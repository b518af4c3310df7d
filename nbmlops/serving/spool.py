"""The spool: keeps answered requests without holding up the next one.

The event loop's thread encodes a record into a buffer, while its bytes still lie in the processor's cache and without
keeping anything of the request alive: that costs a third of queueing the objects for another thread. A thread of its
own writes the buffer in one call; a commit is on the disk (``fdatasync``) before anyone hears that it was made. It may
lose, to a kill or a power cut, what was added since the last commit: at most `window_s` while the disk keeps up, and
the longest time that it really took is a figure of its own.

Scoring never waits for it and never fails with it. Where the disk is full, read-only or gone, records wait up to a
bound, then are dropped and counted, and writing is tried again until it succeeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

import msgspec

from .configuration import CaptureConfig
from .inputs import Rows, Table
from .outputs import to_json
from .segments import UNFIT, Frame, Record, Segment

RECORD_BYTES = 8 * 2**20  # the bodies of a larger request and answer are left out
PENDING_BYTES = 64 * 2**20
SEGMENT_BYTES = 64 * 2**20
SEGMENT_S = 300.0  # a file that old is finished, so that it can be compacted
RETRY_S = (0.1, 5.0)  # from the first to the slowest try, twice as long each time
CLOSE_S = 5.0

Committed = Callable[[str | None], None]

__all__ = ["Record", "Spool"]


@dataclass(slots=True)
class _Batch:
    """What is committed together.

    Attributes
    ----------
    since : float, seconds
        Monotonic time of the first record; 0 while there is none.
    size : int, bytes
        Of the bodies in it.
    uncut : list
        Records whose redacted columns the spool's own thread has yet to leave out.
    """

    frame: Frame = field(default_factory=Frame)
    since: float = 0.0
    size: int = 0
    waiting: list[Committed] = field(default_factory=list)
    uncut: list[tuple[Record, Committed | None]] = field(default_factory=list)


class Spool:
    """Keeps records in files of its own in the endpoint's folder of collected data.

    Parameters
    ----------
    config : CaptureConfig
    name : str
        What its files' names begin with; two processes may use the same.

    Attributes
    ----------
    failing : str
        Why the last commit failed; "" when it didn't.
    """

    def __init__(self, config: CaptureConfig, name: str) -> None:
        self.config = config
        self.failing = ""
        self._name = name
        self._strict = config.mode == "strict"
        self._share = int(config.sample * 2**32)
        # Each count has one writer, either the event loop's thread or the spool's own: none needs a lock.
        self._added = self._dropped = self._skipped = self._too_large = self._bytes_in = 0
        self._committed = self._unfit = self._failed = self._bytes_out = 0
        self._slowest = 0.0
        self._lock = Lock()  # held while a record is added to the batch, and while the batch is taken
        self._batch = _Batch()
        self._unwritten: list[_Batch] = []
        self._segment: Segment | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake, self._closing = Event(), Event()
        self._thread = Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def add(self, record: Record, committed: Committed | None = None) -> bool:
        """Keep a record. Call it on the event loop's thread.

        Parameters
        ----------
        record : Record
        committed : callable, optional
            Called once on the event loop's thread: with None when the record is on the disk, or with the reason why
            it isn't yet.

        Returns
        -------
        bool
            False when it will not be kept, being outside the sample, for want of room, or since MessagePack can't hold
            it; then `committed` is not called. In strict mode there is no room while the disk takes nothing, since
            callers would wait for it.
        """
        if self._share < 2**32 and zlib.crc32(record.prediction.encode()) >= self._share:
            self._skipped += 1
            return False
        size = len(record.body) + len(record.answer)
        if size > RECORD_BYTES:
            record.body = record.answer = b""
            record.data = None
            self._too_large += 1
            size = 0
        if (
            self._added - self._committed - self._unfit >= self.config.pending
            or self._bytes_in - self._bytes_out + size > PENDING_BYTES
            or (self._strict and self.failing)
            or self._closing.is_set()
        ):
            self._dropped += 1
            return False
        if committed is not None and self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._added += 1
        with self._lock:
            batch = self._batch
            if self.config.redact:
                batch.uncut.append((record, committed))
            elif not self._encoded(batch, record, committed):
                return False
            batch.size += size
            batch.since = batch.since or monotonic()
        self._bytes_in += size
        if not self._wake.is_set():
            self._wake.set()
        return True

    def close(self, timeout: float = CLOSE_S) -> None:
        """Commit what is pending, within `timeout` seconds, and end."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)

    def figures(self) -> dict[str, Any]:
        """Return what is to be told of it.

        Returns
        -------
        dict
            ``added``, ``committed``, ``dropped``, ``skipped`` (outside the sample), ``too_large`` (kept without their
            bodies), ``unfit`` (could not be encoded), ``pending``: records. ``failed``: commits that failed.
            ``failing``: why, if the last one did. ``oldest_pending_s``, ``slowest_commit_s``, ``window_s``: the age of
            the oldest pending record, the longest time from adding a record to its commit, and what it should be at
            most, in seconds.
        """
        pending = self._added - self._committed - self._unfit
        return {
            "added": self._added,
            "committed": self._committed,
            "dropped": self._dropped,
            "skipped": self._skipped,
            "too_large": self._too_large,
            "unfit": self._unfit,
            "pending": pending,
            "failed": self._failed,
            "failing": self.failing,
            "oldest_pending_s": self._oldest() if pending else 0.0,
            "slowest_commit_s": self._slowest,
            "window_s": self.config.window_s,
        }

    def _oldest(self) -> float:
        with contextlib.suppress(IndexError):  # the other thread may have written it
            return monotonic() - self._unwritten[0].since
        return monotonic() - (self._batch.since or monotonic())

    def _run(self) -> None:
        wait = RETRY_S[0]
        while not (self._closing.is_set() and not self._batch.since and not self._unwritten):
            if self.failing:
                closing = self._closing.wait(wait)
                wait = min(2 * wait, RETRY_S[1])
            elif not self._wake.wait(SEGMENT_S):
                self._finish()
                continue
            else:
                # Half the window to gather, half to commit.
                closing = self._closing.is_set() if self._strict else self._closing.wait(self.config.window_s / 2)
                wait = RETRY_S[0]
            self._wake.clear()
            self._commit()
            if closing and self.failing:
                break
        self._finish()

    def _commit(self) -> None:
        """Write what is pending, each batch as one frame; keep it for another try if that fails."""
        with self._lock:
            taken, self._batch = self._batch, _Batch()
        self._cut(taken)
        if taken.since:
            self._unwritten.append(taken)
        while self._unwritten:
            batch = self._unwritten[0]
            reason = self._write(batch.frame.whole()) if batch.frame.records else None
            self.failing = reason or ""
            if reason is not None:
                self._failed += 1
                for one in self._unwritten:
                    self._tell(one, reason)
                return
            self._slowest = max(self._slowest, monotonic() - batch.since)
            self._bytes_out += batch.size
            self._committed += batch.frame.records
            del self._unwritten[0]
            self._tell(batch, None)

    def _write(self, frame: bytearray) -> str | None:
        """Append a frame to the open file, or to a new one; return the reason if that fails."""
        try:
            segment = self._segment
            if segment and (segment.size > SEGMENT_BYTES or monotonic() - segment.opened > SEGMENT_S):
                self._finish()
            if self._segment is None:
                self._segment = Segment(Path(self.config.folder), self._name)
            self._segment.append(frame)
        except OSError as error:
            self._finish()
            return error.strerror or type(error).__name__
        return None

    def _finish(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _encoded(self, batch: _Batch, record: Record, committed: Committed | None) -> bool:
        """Take a record into the frame, or count it as unfit."""
        try:
            batch.frame.add(self._kept(record))
        except UNFIT:
            self._unfit += 1
            return False
        if committed is not None:
            batch.waiting.append(committed)
        return True

    def _kept(self, record: Record) -> Record:
        """Return the record as it is written: raw, or decoded and without the columns that must not be."""
        if not self.config.redact:
            return record
        body = without(record.data, record.names, frozenset(self.config.redact))
        kept = {"wire": "columns", "kind": "application/json", "body": body, "split": 0, "data": None, "names": ()}
        return msgspec.structs.replace(record, **kept)

    def _cut(self, batch: _Batch) -> None:
        """Take in the records of which redacted columns have to be left out first."""
        uncut, batch.uncut = batch.uncut, []
        kept = [self._encoded(batch, record, committed) for record, committed in uncut]
        unfit = [committed for (_, committed), fit in zip(uncut, kept, strict=True) if committed and not fit]
        self._later(unfit, "the record can't be encoded")

    def _tell(self, batch: _Batch, reason: str | None) -> None:
        self._later(batch.waiting, reason)
        batch.waiting = []

    def _later(self, callbacks: list[Committed], reason: str | None) -> None:
        if callbacks and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and its callers with it
                self._loop.call_soon_threadsafe(_call, callbacks, reason)


def _call(callbacks: list[Committed], reason: str | None) -> None:
    for committed in callbacks:
        committed(reason)


def without(data: Any, names: tuple[str, ...], redact: frozenset[str]) -> bytes:
    """Return decoded columns as a request of MLflow's protocol, ``dataframe_split``, without those in `redact`.

    Data that is no table of named columns can't be cut, so nothing of it is returned.
    """
    if isinstance(data, Table):
        names = data.names
        data = Rows(list(zip(*map(list, data.columns), strict=True)))
    if not isinstance(data, Rows):
        return b""
    absent = data.absent
    kept = [index for index, name in enumerate(names) if name not in redact and index not in absent]
    rows = [[record[index] for index in kept] for record in data.records]
    return to_json({"dataframe_split": {"columns": [names[index] for index in kept], "data": rows}})
