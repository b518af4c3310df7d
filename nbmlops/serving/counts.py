"""The counts of all scorers of an endpoint, so that any of them can tell the whole.

Each scorer leaves its counts in a file of a folder that they share. A scrape reaches one scorer only: it writes its
own counts, then adds those of the others. What was told once is thus in a file when the next scrape reaches another
scorer, and no counter ever goes down, whichever scorer dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

Key = tuple[str, ...]
FORMAT = 1
FOLD = 8  # files of dead scorers that may lie about before they become one
SUFFIX = ".counts"
_FOLDED = "folded" + SUFFIX


class Counts(msgspec.Struct):
    """What is counted, each under its metric's name and its labels' values.

    Attributes
    ----------
    counters : dict of tuple to float
        Only grow.
    histograms : dict of tuple to list of float
        The count of each interval, and the sum of what was counted at the end.
    gauges : dict of tuple to float
        Hold for the moment, and only of processes that live.
    """

    counters: dict[Key, float] = {}
    histograms: dict[Key, list[float]] = {}
    gauges: dict[Key, float] = {}

    def count(self, key: Key, value: float) -> None:
        """Add to a counter."""
        self.counters[key] = self.counters.get(key, 0.0) + value

    def measure(self, key: Key, value: float) -> None:
        """Add to a gauge; of times the longest is kept."""
        there = self.gauges.get(key, 0.0)
        self.gauges[key] = max(there, value) if key[0].endswith("_seconds") else there + value

    def distribute(self, key: Key, values: list[float]) -> None:
        """Add to a histogram."""
        there = self.histograms.get(key)
        same = there is not None and len(there) == len(values)
        self.histograms[key] = [a + b for a, b in zip(there, values, strict=True)] if same and there else list(values)

    def add(self, other: Counts, *, alive: bool) -> None:
        """Add another's counts; its gauges only where the process lives."""
        for key, value in other.counters.items():
            self.count(key, value)
        for key, values in other.histograms.items():
            self.distribute(key, values)
        if alive:
            for key, value in other.gauges.items():
                self.measure(key, value)


class Sheet(msgspec.Struct):
    """One file of the folder.

    Attributes
    ----------
    pid : int
        0 in the file that holds the sum of dead scorers.
    started : float, seconds since the epoch
        Tells a process from a later one of the same number.
    names : list of str
        The files whose counts are in here; one that is still there counts no more.
    """

    pid: int
    started: float
    counts: Counts
    names: list[str] = []
    format: int = FORMAT

    @property
    def alive(self) -> bool:
        """Whether the process that wrote it lives."""
        try:
            return self.pid > 0 and abs(psutil.Process(self.pid).create_time() - self.started) < 0.05
        except psutil.Error:
            return False


class CountsFolder:
    """The folder that the scorers of an endpoint share.

    Parameters
    ----------
    path : Path
        Made if it isn't there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._pid = os.getpid()
        self._started = psutil.Process().create_time()
        self._own = f"{self._pid}-{self._started:.2f}{SUFFIX}"
        self._written = b""

    def write(self, own: Counts) -> None:
        """Leave this scorer's counts, if they changed.

        Raises
        ------
        OSError
            The file can't be written.
        """
        content = msgspec.msgpack.encode(Sheet(self._pid, self._started, own))
        if content != self._written:
            self._replace(self._own, content)
            self._written = content

    def _replace(self, name: str, content: bytes) -> None:
        draft = self._path / f"{name}.{self._pid}.new"
        draft.write_bytes(content)
        draft.replace(self._path / name)

    def others(self) -> list[Sheet]:
        """Return what the other scorers left, living and dead."""
        with self._locked(fcntl.LOCK_SH):
            found = self._read()
        dead = [name for name, sheet in found.items() if name != _FOLDED and not sheet.alive]
        if len(dead) > FOLD:
            self.fold()
        return list(found.values())

    def _read(self) -> dict[str, Sheet]:
        found = {}
        for path in sorted(self._path.glob("*" + SUFFIX)):
            if path.name != self._own:
                with contextlib.suppress(msgspec.MsgspecError, FileNotFoundError):
                    sheet = msgspec.msgpack.decode(path.read_bytes(), type=Sheet)
                    if sheet.format == FORMAT:
                        found[path.name] = sheet
        for name in found[_FOLDED].names if _FOLDED in found else []:
            found.pop(name, None)
        return found

    def fold(self) -> None:
        """Make one file of those that dead scorers left."""
        with self._locked(fcntl.LOCK_EX):
            found = self._read()
            folded = found.pop(_FOLDED, Sheet(0, 0.0, Counts()))
            dead = {name: sheet for name, sheet in found.items() if not sheet.alive}
            for sheet in dead.values():
                folded.counts.add(sheet.counts, alive=False)
            # A kill between here and the last removal leaves files whose names are noted, and so not counted twice.
            folded.names = sorted(dead) + [name for name in folded.names if (self._path / name).exists()]
            self._replace(_FOLDED, msgspec.msgpack.encode(folded))
            for name in folded.names:
                (self._path / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        """Hold the folder's lock: whoever reads must not see a file half folded."""
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)
