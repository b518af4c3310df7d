"""What processes use, seen from outside: CPU seconds and resident memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

MIB = 1024 * 1024
INTERVAL = 0.02  # seconds between two looks at the memory


@dataclass
class Peak:
    """The most memory seen so far, in MiB."""

    rss_mib: float = 0.0


class Usage:
    """Several processes as one.

    A process that ended counts for nothing; whether one did is for the caller to see.

    Parameters
    ----------
    pids : iterable of int
    """

    def __init__(self, pids: Iterable[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]

    def cpu_seconds(self) -> float:
        """Return the user and system time that the processes have taken since they started."""
        return sum(sum(times[:2]) for times in self._each("cpu_times"))

    def rss_mib(self) -> float:
        """Return the resident memory of all, MiB; pages that they share count for each."""
        return float(sum(facts.rss for facts in self._each("memory_info"))) / MIB

    @contextmanager
    def peak(self) -> Iterator[Peak]:
        """Watch the resident memory inside the block; the result holds the most that was seen."""
        seen = Peak(self.rss_mib())
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(INTERVAL):
                seen.rss_mib = max(seen.rss_mib, self.rss_mib())

        thread = threading.Thread(target=watch, name="nbmlops-memory", daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()

    def _each(self, reading: str) -> list[Any]:
        found = []
        for process in self._processes:
            try:
                found.append(getattr(process, reading)())
            except psutil.NoSuchProcess:
                continue
        return found
