"""The names under which counts are told to Prometheus.

HTTP figures have the names and labels of OpenTelemetry's semantic conventions, as its exporters write them for
Prometheus; a plain counter of requests has the name and the labels that Prometheus' own documentation uses; figures
of processes have the names that all of Prometheus' client libraries share. What has no convention begins with
``nbmlops_``.

References
----------
OpenTelemetry, Semantic conventions for HTTP metrics; OpenTelemetry, Prometheus and OpenMetrics compatibility;
Prometheus, Metric and label naming; Prometheus, Writing client libraries (standard and runtime collectors).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from .counts import Counts, Key

# OpenTelemetry's advice for http.server.request.duration begins at 5 ms, where this server's slowest answers are.
LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
T = TypeVar("T")
SAMPLE = ("model", "version")  # every sample of a model carries these, after the endpoint's name


@dataclass(frozen=True)
class Family:
    """One metric.

    Attributes
    ----------
    help : str
    labels : tuple of str
        Beside ``endpoint``, in the order of the keys of `Counts`.
    bounds : tuple of float
        A histogram's.
    """

    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()


COUNTERS: dict[str, Family] = {
    "http_requests": Family("Answered requests.", (*SAMPLE, "method", "route", "code")),
    "nbmlops_errors": Family("Requests answered with an error, by its code.", (*SAMPLE, "error_type")),
    "nbmlops_guardrail_observations": Family("Requests that the guardrails judge by.", (*SAMPLE, "outcome")),
    "nbmlops_shadow_requests": Family("Copies of requests that a shadow was to get.", (*SAMPLE, "outcome")),
    "nbmlops_shadow_agreeing_requests": Family(
        "Requests that a shadow answered as the caller was answered, by the share of their rows.", SAMPLE
    ),
    "nbmlops_capture_records": Family("Answered requests by what became of their record.", ("outcome",)),
    "nbmlops_capture_failed_commits": Family("Commits of captured records that failed and are tried again.", ()),
    "process_cpu_seconds": Family("User and system CPU time, in seconds.", ("role", "pid")),
}
HISTOGRAMS: dict[str, Family] = {
    "http_server_request_duration_seconds": Family(
        "From a scoring request's arrival to its answer.",
        (*SAMPLE, "http_request_method", "http_route", "http_response_status_code", "error_type"),
        LATENCY_BUCKETS,
    ),
    "nbmlops_batch_rows": Family("Rows in one call of the model.", SAMPLE, BATCH_BUCKETS),
}
GAUGES: dict[str, Family] = {
    "http_server_active_requests": Family("Scoring requests not yet answered.", (*SAMPLE, "http_request_method")),
    "nbmlops_queue_depth": Family("Requests that wait for a call of the model.", SAMPLE),
    "nbmlops_traffic_weight": Family("Share of the traffic, relative to the others'.", SAMPLE),
    "nbmlops_shadow_percent": Family("Share of the others' requests of which it gets a copy.", SAMPLE),
    "nbmlops_model_ready": Family("1 where requests can be answered now.", SAMPLE),
    "nbmlops_capture_pending": Family("Captured records that wait for their commit.", ()),
    "nbmlops_capture_failing": Family("Scorers whose last commit of captured records failed.", ()),
    "nbmlops_capture_oldest_pending_seconds": Family("Age of the oldest record that waits for its commit.", ()),
    "nbmlops_capture_slowest_commit_seconds": Family("The longest that a record waited for its commit.", ()),
    "nbmlops_capture_window_seconds": Family("The longest that a record should wait: what a kill can lose.", ()),
    "process_resident_memory_bytes": Family("Resident memory, in bytes.", ("role", "pid")),
    "process_virtual_memory_bytes": Family("Virtual memory, in bytes.", ("role", "pid")),
    "process_start_time_seconds": Family("Start, in seconds since the epoch.", ("role", "pid")),
    "process_open_fds": Family("Open file descriptors.", ("role", "pid")),
    "process_max_fds": Family("File descriptors that may be open.", ("role", "pid")),
}


def families(counts: Counts, endpoint: str) -> Iterator[Metric]:
    """Yield every metric of which there is a sample.

    Parameters
    ----------
    counts : Counts
    endpoint : str
        The label that all samples carry.
    """
    numbers: list[tuple[Mapping[str, Family], Mapping[Key, float], type]] = [
        (COUNTERS, counts.counters, CounterMetricFamily),
        (GAUGES, counts.gauges, GaugeMetricFamily),
    ]
    for table, values, kind in numbers:
        for name, samples in _by_name(values).items():
            metric = kind(name, table[name].help, labels=["endpoint", *table[name].labels])
            for labels, value in samples:
                metric.add_metric([endpoint, *labels], value)
            yield metric
    for name, histograms in _by_name(counts.histograms).items():
        family = HISTOGRAMS[name]
        histogram = HistogramMetricFamily(name, family.help, labels=["endpoint", *family.labels])
        for labels, counted in histograms:
            histogram.add_metric([endpoint, *labels], cumulative(family.bounds, counted), counted[-1])
        yield histogram


def _by_name(values: Mapping[Key, T]) -> dict[str, list[tuple[Sequence[str], T]]]:
    found: dict[str, list[tuple[Sequence[str], T]]] = {}
    for (name, *labels), value in sorted(values.items()):
        found.setdefault(name, []).append((labels, value))
    return found


def cumulative(bounds: Sequence[float], values: Sequence[float]) -> list[tuple[str, float]]:
    """Return the counts up to each bound, under the bounds' names.

    Parameters
    ----------
    bounds : sequence of float
    values : sequence of float
        The count of each interval, that above the last bound, and the sum of what was counted.
    """
    running, result = 0.0, []
    for bound, count in zip((*bounds, "+Inf"), values[:-1], strict=True):
        running += count
        result.append((str(bound), running))
    return result
