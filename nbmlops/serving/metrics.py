"""What a scorer counts, and how it answers a scrape.

Plain numbers are counted on the way and turned into metrics when `/metrics` is asked for, which costs a request a
tenth of what the client library's own counters would.
"""

from __future__ import annotations

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics

from . import __version__, usage
from .counts import Counts, CountsFolder
from .families import BATCH_BUCKETS, LATENCY_BUCKETS, cumulative, families

if TYPE_CHECKING:
    from .arms import Arm

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text"
WRITTEN_S = 1.0  # seconds between two writings of the counts
ROUTES = {"mlflow": "/invocations", "oip": "/v2/models/{model}/infer"}
# OpenTelemetry's word for what has no name of its own: a caller may send any.
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"}
OTHER = "_OTHER"


class Histogram:
    """Counts of values up to each bound, and their sum.

    Attributes
    ----------
    values : list of float
        The count of each interval, that above the last bound, and the sum.
    """

    __slots__ = ("bounds", "values")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.values = [0.0] * (len(bounds) + 2)

    def observe(self, value: float) -> None:
        """Count one value."""
        values = self.values
        values[bisect_left(self.bounds, value)] += 1
        values[-1] += value

    @property
    def total(self) -> float:
        """The sum of what was counted."""
        return self.values[-1]

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts under the bounds' names."""
        return cumulative(self.bounds, self.values)


class ArmMetrics:
    """The counts of one arm."""

    def __init__(self) -> None:
        self.batches = Histogram(BATCH_BUCKETS)
        # From the start, so that a rate can be told from the first request on.
        first = Histogram(LATENCY_BUCKETS)
        self._latency: dict[tuple[str, int, str | None], Histogram] = {("mlflow", 200, None): first}

    def observe(self, status: int, code: str | None, seconds: float, *, wire: str = "mlflow") -> None:
        """Count one answered request.

        Parameters
        ----------
        status : int
        code : str, optional
            The error's; None for an answer.
        seconds : float
        wire : str
            The protocol's name, which stands for the route.
        """
        histogram = self._latency.get((wire, status, code))
        if histogram is None:
            histogram = self._latency[wire, status, code] = Histogram(LATENCY_BUCKETS)
        histogram.observe(seconds)

    @property
    def requests(self) -> Counter[int]:
        """Answered requests by status."""
        found: Counter[int] = Counter()
        for (_, status, _), histogram in self._latency.items():
            found[status] += int(sum(histogram.values[:-1]))
        return found

    @property
    def errors(self) -> Counter[str]:
        """Refused and failed requests by the error's code."""
        found: Counter[str] = Counter()
        for (_, _, code), histogram in self._latency.items():
            if code is not None:
                found[code] += int(sum(histogram.values[:-1]))
        return found

    def add_to(self, counts: Counts, model: str, version: str) -> None:
        """Add all to `counts` under the model's labels."""
        for (wire, status, code), histogram in self._latency.items():
            route, answered = ROUTES.get(wire, wire), sum(histogram.values[:-1])
            duration = ("http_server_request_duration_seconds", model, version, "POST", route, str(status), code or "")
            counts.distribute(duration, histogram.values)
            counts.count(("http_requests", model, version, "POST", route, str(status)), answered)
            if code is not None:
                counts.count(("nbmlops_errors", model, version, code), answered)
        counts.distribute(("nbmlops_batch_rows", model, version), self.batches.values)


class ServerMetrics:
    """The counts of a scorer: those of its arms, and of requests that reached none.

    Attributes
    ----------
    endpoint : str
    last_request : float, seconds
        When the last scoring request came, on the monotonic clock.
    unrouted : Counter
        Refusals of requests that reached no arm, by status and code.
    sources : list of callable
        Called at every scrape to add what others count.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.unrouted: Counter[tuple[int, str]] = Counter()
        self.pages: Counter[tuple[str, str, int]] = Counter()
        self.last_request = time.monotonic()
        self.sources: list[Callable[[Counts], None]] = []
        self.unwritten = 0
        self._arms: Mapping[str, Arm] = {}
        self._departed: list[tuple[str, str, Arm]] = []
        self._past = Counts()
        self._folder: CountsFolder | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._process = psutil.Process()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    @property
    def arms(self) -> Mapping[str, Arm]:
        """The arms that are served, by name."""
        return self._arms

    @arms.setter
    def arms(self, arms: Mapping[str, Arm]) -> None:
        staying = set(map(id, arms.values()))
        gone = [arm for arm in self._arms.values() if id(arm) not in staying]
        self._departed += [(arm.config.model, arm.config.version, arm) for arm in gone]
        self._arms = arms

    def share(self, folder: str | None) -> None:
        """Keep the counts in a folder that an endpoint's scorers share; call it on the event loop's thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._folder = None if folder is None else CountsFolder(Path(folder))
        if self._folder is not None:
            self._write_again()

    def _write_again(self) -> None:
        self.write()
        self._timer = asyncio.get_running_loop().call_later(WRITTEN_S, self._write_again)

    def write(self) -> Counts:
        """Leave the counts where the other scorers find them, and return them."""
        counts = self.snapshot()
        if self._folder is not None:
            try:
                self._folder.write(counts)
            except OSError:  # a full disk must not stop the scoring
                self.unwritten += 1
        return counts

    def close(self) -> None:
        """Leave the last counts."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.write()

    def observe_page(self, method: str, route: str, status: int) -> None:
        """Count an answer that is no prediction; `route` is "" where there is none."""
        self.pages[method if method in METHODS else OTHER, route, status] += 1

    def observe_refusal(self, method: str, route: str, *, status: int, code: str) -> None:
        """Count a request that reached no arm."""
        self.observe_page(method, route, status)
        self.unrouted[status, code] += 1

    def rss_bytes(self) -> int:
        """Return the resident memory of this process, in bytes."""
        return int(self._process.memory_info().rss)

    def snapshot(self) -> Counts:
        """Return what this scorer counted."""
        self._settle()
        counts = Counts()
        counts.add(self._past, alive=False)
        for model, version, arm in self._departed:
            arm.metrics.add_to(counts, model, version)
        for arm in self._arms.values():
            self._add_arm(counts, arm)
        for (method, route, status), count in self.pages.items():
            counts.count(("http_requests", "", "", method, route, str(status)), count)
        for (_, code), count in self.unrouted.items():
            counts.count(("nbmlops_errors", "", "", code), count)
        for source in self.sources:
            source(counts)
        return counts

    def _add_arm(self, counts: Counts, arm: Arm) -> None:
        labels = (arm.config.model, arm.config.version)
        arm.metrics.add_to(counts, *labels)
        counts.measure(("http_server_active_requests", *labels, "POST"), arm.in_flight)
        counts.measure(("nbmlops_queue_depth", *labels), arm.batcher.queued)

    def _settle(self) -> None:
        """Let go of arms that were swapped out once nothing is in flight on them; their counts stay."""
        for entry in list(self._departed):
            model, version, arm = entry
            if not arm.in_flight:
                arm.metrics.add_to(self._past, model, version)
                self._departed.remove(entry)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def exposition(self, accept: bytes | None) -> tuple[bytes, bytes]:
        """Return the metrics and their content type: OpenMetrics where the ``Accept`` header asks for it."""
        if accept is not None and OPENMETRICS in accept.decode("latin-1").lower():
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST.encode()
        return self.text(), CONTENT_TYPE.encode()

    def describe(self) -> Iterable[Metric]:
        """Name no metric beforehand; the registry then does not collect while it registers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, of all scorers of the endpoint."""
        total, pids = self.write(), [os.getpid()]
        for sheet in self._folder.others() if self._folder else []:
            alive = sheet.alive
            total.add(sheet.counts, alive=alive)
            if alive:
                pids.append(sheet.pid)
        for arm in self._arms.values():
            labels = (arm.config.model, arm.config.version)
            total.gauges["nbmlops_traffic_weight", *labels] = arm.config.weight
            total.gauges["nbmlops_shadow_percent", *labels] = arm.config.shadow
            total.gauges["nbmlops_model_ready", *labels] = float(arm.ready)
        usage.measure(total, pids, "scorer")
        sockets = [arm.config.socket for arm in self._arms.values() if arm.config.socket is not None]
        usage.measure(total, usage.workers(sockets), "worker")
        yield from families(total, self.endpoint)
        yield from self._facts(len(pids))

    def _facts(self, scorers: int) -> Iterator[Metric]:
        model = InfoMetricFamily("nbmlops_model", "What is served.", labels=["endpoint", "model", "version"])
        for arm in self._arms.values():
            bundle = arm.bundle
            facts = {"arm": arm.config.name, "runtime": bundle.manifest.runtime, "bundle": bundle.digest}
            facts |= {"provider": bundle.provider} if bundle.provider else {}
            model.add_metric([self.endpoint, arm.config.model, arm.config.version], facts)
        server = InfoMetricFamily("nbmlops_server", "The server.", labels=["endpoint"])
        server.add_metric([self.endpoint], {"server": __version__})
        running = GaugeMetricFamily("nbmlops_scorers", "Scorer processes that count here.", labels=["endpoint"])
        running.add_metric([self.endpoint], scorers)
        failed = CounterMetricFamily(
            "nbmlops_counts_write_failures",
            "Times that this scorer could not leave its counts to the others.",
            labels=["endpoint"],
        )
        failed.add_metric([self.endpoint], self.unwritten)
        yield from (model, server, running, failed)
