"""What a profile found, and the size that it recommends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from nbmlops.core.display import Card, Shown, Table, picture, table
from nbmlops.core.errors import Corrupt
from nbmlops.core.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Level(Record):
    """What was measured with one number of requests in flight.

    Attributes
    ----------
    concurrency : int
        Connections, each with one request of one row in flight.
    requests : int
        Answered with success; the latencies and `rps` are theirs.
    rps : float, requests/s
    p50_ms, p95_ms, p99_ms : float, milliseconds
    cpu_s_per_1k : float, seconds
        CPU time of all scoring processes for 1,000 requests.
    cores : float
        CPU seconds in a second.
    errors : int
        All other requests; 429 means that the queue was full.
    error_kinds : mapping of str to int
    """

    concurrency: int
    requests: int
    rps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_s_per_1k: float
    cores: float
    errors: int
    error_kinds: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Recommendation(Record):
    """What to deploy with, and how that follows from the levels.

    Attributes
    ----------
    cores : float
    memory_mib : int, MiB
    workers : int
    rule : str
        In words, with the numbers that went in.
    """

    cores: float
    memory_mib: int
    workers: int
    rule: str


@dataclass(frozen=True)
class ProfileReport(Record, Shown):
    """The cost of serving one bundle.

    The scoring processes are measured; the supervisor, which only watches them, is not.

    Attributes
    ----------
    levels : tuple of Level
        By rising concurrency.
    idle_rss_mib, peak_rss_mib : float, MiB
        Resident memory of all scoring processes, after the first answers and at most.
    recommendation : Recommendation
    runtime : str
        What served: ``onnx``, ``sklearn`` or ``pyfunc``.
    rows : int
        Distinct rows that were sent in turn.
    seconds : float
        How long each level was loaded.
    """

    levels: tuple[Level, ...]
    idle_rss_mib: float
    peak_rss_mib: float
    recommendation: Recommendation
    runtime: str
    rows: int
    seconds: float

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProfileReport:
        """Return the report that `to_dict` wrote.

        Raises
        ------
        Corrupt
            The data does not have that form.
        """
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise Corrupt(f"the stored profile can't be read: {error}", hint="Profile the version again.") from error

    def plot(self) -> Figure:
        """Return latency and throughput over concurrency, on a transparent background."""
        from nbmlops.profiling.plot import draw

        return draw(self.levels)

    @property
    def table(self) -> Table:
        """The levels as a table."""
        headers = ("connections", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU s / 1,000", "errors")
        rows = [
            (
                level.concurrency,
                round(level.rps),
                f"{level.p50_ms:.2f}",
                f"{level.p95_ms:.2f}",
                f"{level.p99_ms:.2f}",
                f"{level.cpu_s_per_1k:.3f}",
                _errors(level),
            )
            for level in self.levels
        ]
        return table(headers, rows)

    def _show_(self) -> Card:
        advice = self.recommendation
        fields = {
            "served by": f"the {self.runtime} runtime, {self.rows:,} of your rows in turn, {self.seconds:g} s a level",
            "memory": f"{self.idle_rss_mib:.0f} MiB idle, {self.peak_rss_mib:.0f} MiB at most",
            "recommended": f"--cpu {advice.cores:g} --memory {advice.memory_mib}, {_count(advice.workers, 'worker')}",
            "because": advice.rule,
        }
        return Card("Profile", fields, (self.table,), "A deploy of this version takes the recommendation by default.")

    def _repr_html_(self) -> str:
        from nbmlops.profiling.plot import png

        image = picture(png(self.plot()), "Latency and requests per second over the number of connections")
        return self._show_().html + image.html


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _errors(level: Level) -> str:
    if not level.errors:
        return "0"
    return f"{level.errors:,} ({', '.join(f'{kind}: {count:,}' for kind, count in sorted(level.error_kinds.items()))})"
