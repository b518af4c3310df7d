"""Start the real server from a bundle, load it with the user's rows, and watch what it uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbmlops.core.errors import EndpointError, InvalidInput
from nbmlops.core.progress import stage
from nbmlops.profiling.load import Measured, drive
from nbmlops.profiling.payloads import payloads
from nbmlops.profiling.recommend import recommend
from nbmlops.profiling.report import Level, ProfileReport
from nbmlops.profiling.usage import Peak, Usage

if TYPE_CHECKING:
    from nbmlops.deployment import Trial
    from nbmlops.packaging import Bundle

LEVELS = (1, 8, 32)
SECONDS = 2.0
WARM_UP = 0.2  # seconds


def profile(bundle: Bundle, rows: Any, *, levels: Sequence[int] = LEVELS, seconds: float = SECONDS) -> ProfileReport:
    """Measure the server of `bundle` under load.

    The server that a deploy would start is started for as long as it takes, and loaded by a process of its own with
    requests of one row each, which rotate over `rows`. A request that the server turns down is counted, not raised.

    Parameters
    ----------
    bundle : Bundle
    rows : pandas.DataFrame or array, shape (n_rows, n_features), or Reference
        As the model takes them.
    levels : sequence of int
        Numbers of connections, each with one request in flight.
    seconds : float, seconds
        How long each level is loaded.

    Raises
    ------
    InvalidInput
        The rows do not fit the model's signature.
    EndpointError
        The server does not start, or one of its processes ends under load.
    """
    from nbmlops.deployment import trial

    if not levels or min(levels) < 1 or not seconds > 0:
        raise InvalidInput(
            f"levels are {tuple(levels)} and seconds {seconds:g}",
            expected="positive numbers of connections and seconds",
        )
    bodies = payloads(getattr(rows, "inputs", rows), bundle.manifest["signature"])
    stage("starting the server")
    with trial(bundle) as server:
        _first_answer(server, bodies[0])
        return _measured(server, bodies, sorted(levels), runtime=bundle.runtime, seconds=seconds)


def _measured(server: Trial, bodies: list[bytes], levels: list[int], *, runtime: str, seconds: float) -> ProfileReport:
    headers = {**server.headers, "content-type": "application/json"}
    url = f"{server.url}/invocations"
    drive(url, headers, bodies, seconds=WARM_UP)
    pids = server.pids
    usage = Usage(pids)
    idle = usage.rss_mib()
    measured = []
    with usage.peak() as peak:
        for concurrency in levels:
            stage(f"loading it with {concurrency} at once")
            before = usage.cpu_seconds()
            answers = drive(url, headers, bodies, connections=concurrency, seconds=seconds)
            measured.append(_level(answers, usage.cpu_seconds() - before))
            _refuse_lost(server, pids)
    return _report(measured, idle, peak, runtime=runtime, rows=len(bodies), seconds=seconds)


def _report(levels: list[Level], idle: float, peak: Peak, **facts: Any) -> ProfileReport:
    from nbmlops.capture import capture_machine

    if not any(level.requests for level in levels):
        kinds = ", ".join(sorted({kind for level in levels for kind in level.error_kinds}))
        raise EndpointError(f"no request was answered under load ({kinds})", hint="Send fewer at once: levels=(1,).")
    advice = recommend(levels, peak.rss_mib, capture_machine().cores)
    return ProfileReport(
        levels=tuple(levels),
        idle_rss_mib=round(idle, 1),
        peak_rss_mib=round(peak.rss_mib, 1),
        recommendation=advice,
        **facts,
    )


def _level(answers: Measured, cpu_seconds: float) -> Level:
    return Level(
        concurrency=answers.connections,
        requests=answers.requests,
        rps=answers.rps,
        p50_ms=answers.p50_ms,
        p95_ms=answers.p95_ms,
        p99_ms=answers.p99_ms,
        cpu_s_per_1k=cpu_seconds / answers.requests * 1000 if answers.requests else 0.0,
        cores=cpu_seconds / answers.seconds if answers.seconds else 0.0,
        errors=sum(answers.errors.values()),
        error_kinds=dict(answers.errors),
    )


def _first_answer(server: Trial, body: bytes) -> None:
    """Send one request and tell why the server does not take it, before thousands are counted as errors."""
    import requests

    headers = {**server.headers, "content-type": "application/json"}
    answer = requests.post(f"{server.url}/invocations", data=body, headers=headers, timeout=60)
    if answer.ok:
        return
    error = answer.json().get("error", {})
    raise InvalidInput(
        f"the server does not take the first row ({answer.status_code}): {error.get('message', '')}",
        expected=error.get("expected"),
    )


def _refuse_lost(server: Trial, pids: tuple[int, ...]) -> None:
    lost = set(pids) - set(server.pids)
    if lost:
        raise EndpointError(
            f"{len(lost)} of the server's {len(pids)} processes ended under load",
            hint="It may need more memory than there is: try fewer requests at once, levels=(1,).",
        )
