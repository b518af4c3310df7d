"""What is counted of every arm, and its form for Prometheus.

Plain integers are counted on the way and turned into metric families when `/metrics` is asked for, which costs a
request a tenth of what the client library's own counters would.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from . import __version__

if TYPE_CHECKING:
    from .arms import Arm

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Counts of values up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts under the bounds' names."""
        running, result = 0, []
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            running += count
            result.append((str(bound), float(running)))
        return result


class ArmMetrics:
    """The counts of one arm."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.latency = Histogram(LATENCY_BUCKETS)
        self.batches = Histogram(BATCH_BUCKETS)

    def observe(self, status: int, code: str | None, seconds: float) -> None:
        """Count one answered request."""
        self.requests[status] += 1
        self.latency.observe(seconds)
        if code is not None:
            self.errors[code] += 1


class ServerMetrics:
    """The counts of a scorer: those of its arms, and of requests that reached none.

    Parameters
    ----------
    endpoint : str
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.arms: Mapping[str, Arm] = {}
        self.unrouted: Counter[tuple[int, str]] = Counter()
        self.last_request = time.monotonic()
        self._process = psutil.Process()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def rss_bytes(self) -> int:
        """Return the resident memory of this process, in bytes."""
        return int(self._process.memory_info().rss)

    def describe(self) -> Iterable[Metric]:
        """Name no metric beforehand; the registry then does not collect while it registers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        arms = [(self._labels(arm), arm) for arm in self.arms.values()]
        yield from self._traffic(arms)
        yield from self._load(arms)
        yield from self._server(arms)

    def _labels(self, arm: Arm) -> list[str]:
        return [self.endpoint, arm.config.model, arm.config.version]

    def _traffic(self, arms: list[tuple[list[str], Arm]]) -> Iterator[Metric]:
        names = ["endpoint", "model", "version"]
        requests = CounterMetricFamily("nbmlops_requests", "Answered requests.", labels=[*names, "code"])
        errors = CounterMetricFamily("nbmlops_errors", "Requests answered with an error.", labels=[*names, "error"])
        latency = HistogramMetricFamily("nbmlops_request_duration_seconds", "From request to answer.", labels=names)
        for labels, arm in arms:
            for status, count in arm.metrics.requests.items():
                requests.add_metric([*labels, str(status)], count)
            for code, count in arm.metrics.errors.items():
                errors.add_metric([*labels, code], count)
            latency.add_metric(labels, arm.metrics.latency.buckets(), arm.metrics.latency.total)
        for (status, code), count in self.unrouted.items():
            requests.add_metric([self.endpoint, "", "", str(status)], count)
            errors.add_metric([self.endpoint, "", "", code], count)
        yield from (requests, errors, latency)

    def _load(self, arms: list[tuple[list[str], Arm]]) -> Iterator[Metric]:
        names = ["endpoint", "model", "version"]
        sizes = HistogramMetricFamily("nbmlops_batch_rows", "Rows in one call of the model.", labels=names)
        queue = GaugeMetricFamily("nbmlops_queue_depth", "Requests that wait for a call.", labels=names)
        flight = GaugeMetricFamily("nbmlops_requests_in_flight", "Requests not yet answered.", labels=names)
        for labels, arm in arms:
            sizes.add_metric(labels, arm.metrics.batches.buckets(), arm.metrics.batches.total)
            queue.add_metric(labels, arm.batcher.queued)
            flight.add_metric(labels, arm.in_flight)
        yield from (sizes, queue, flight)

    def _server(self, arms: list[tuple[list[str], Arm]]) -> Iterator[Metric]:
        names = ["endpoint", "model", "version"]
        info = GaugeMetricFamily("nbmlops_model_info", "What is served.", labels=[*names, "runtime", "bundle", "arm"])
        weight = GaugeMetricFamily("nbmlops_traffic_weight", "Share of the traffic, relative.", labels=names)
        for labels, arm in arms:
            info.add_metric([*labels, arm.bundle.manifest.runtime, arm.bundle.digest, arm.config.name], 1)
            weight.add_metric(labels, arm.config.weight)
        server = GaugeMetricFamily("nbmlops_server_info", "The server.", labels=["endpoint", "server"])
        server.add_metric([self.endpoint, __version__], 1)
        yield from (info, weight, server)
        times = self._process.cpu_times()
        used = times.user + times.system
        yield CounterMetricFamily("process_cpu_seconds", "CPU time of this scorer in seconds.", value=used)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory.", value=self.rss_bytes())
        started = self._process.create_time()
        yield GaugeMetricFamily("process_start_time_seconds", "Start, in seconds since the epoch.", value=started)
