"""The samples as a page of Markdown: goals, servers, what was measured and how."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .goals import BEST, Measured, best_level, number, rates, verdicts

HEADER = ("", "1 connection", "32 connections", "128 connections", "p50 / p99 at 1", "p50 / p99 at 32")
HEADER += ("failed", "processor time", "memory", "first answer")
UNITS = """\
Columns of connections: requests answered in a second, median of the runs (lowest to highest). p50 and p99: latency in
milliseconds, median of the runs. Failed: requests that were refused or got no answer, of all. Processor time: of all
processes of the server, for one request at 32 connections; it hardly depends on what else the machine does. Memory:
resident, after the load, the sum over the server's processes in MiB. First answer: from the command that starts the
server until it has scored a row, in seconds, fastest of the starts. A dash: not measured, since the server is too slow
for so many connections to say more."""
HOW = """\
- The model: standard scaler, one-hot encoding, gradient boosting of 100 trees over 20 numbers and 3 strings ("forest":
  a random forest of 100 trees instead). Every request carries one row, and 997 rows rotate.
- nbmlops answers at the public port of an endpoint, with the bearer token, metrics and data capture on. Of the
  peers, MLServer and BentoML keep metrics, and none asks for a token or captures. ONNX Runtime serves the file that a
  deploy made; every peer in a row with "ONNX" is given that same file, and serves it on one thread and without a
  DataFrame where it can.
- Every server has one worker process and its access log off, and gets the rows in the form that it asks for. Before
  anything is measured, its answers to 100 rows have to equal the fitted model's.
- All servers are up at once and take turns, so that a slow minute of the machine meets all alike; ratios are taken
  within a round. The client is `wrk` on one thread, which shares the machine."""


def markdown(found: Measured) -> str:
    """Return the page."""
    machine, runs = found["machine"], found["runs"]
    load = ", ".join(f"{one:.2f}" for one in found["load_before"])
    facts = [
        f"{found['began']}; {runs} interleaved runs of {found['seconds']:g} s (longer for slow servers), "
        f"{found['minutes']:.0f} minutes in all.",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}, "
        f"wrk {found['wrk']}.",
        f"Load average before it began, over 1, 5 and 15 minutes: {load}.",
    ]
    parts = [
        "# The scoring server against its peers",
        "Made by `make bench-serving`; do not edit. Seconds say much about the machine, ratios about the servers.",
        "\n".join(facts),
        "![Requests answered in a second](serving.svg)",
        "## Goals",
        _goals(found),
        "## Servers",
        _servers(found, "boosting"),
        UNITS,
        "## The forest",
        _servers(found, "forest"),
        "## How it was measured",
        HOW,
        "## Versions",
        _versions(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(rows: Iterable[Sequence[str]], header: Sequence[str], *, left: int = 1) -> str:
    """Return a Markdown table; the first `left` columns are set to the left, the others to the right."""
    marks = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, marks, *rows))


def _goals(found: Measured) -> str:
    rows = [(one.what, one.goal, one.measured, "yes" if one.met else "**no**") for one in verdicts(found)]
    return table(rows, ("nbmlops against", "goal", "measured (lowest to highest run)", "met"))


def _servers(found: Measured, model: str) -> str:
    servers = {name: server for name, server in found["servers"].items() if server["model"] == model}
    names = sorted(servers, key=lambda name: -statistics.median(rates(found, name, 32)))
    return table([_row(found, name) for name in names], HEADER) if names else ""


def _row(found: Measured, name: str) -> list[str]:
    server = found["servers"][name]
    samples = server["samples"]
    label = f"**{name}**" if server["library"] == "nbmlops" else name
    best = best_level(found, name)
    if best not in ("1", "32", "128"):
        label += f" (best at {best}: {number(statistics.median(rates(found, name, BEST)))})"
    return [
        label,
        *(_spread([sample["rps"] for sample in samples.get(level, [])]) for level in ("1", "32", "128")),
        *(_latency(samples.get(level, [])) for level in ("1", "32")),
        str(sum(sample["errors"] for level in samples.values() for sample in level)),
        _time(statistics.median(sample["cpu_us"] for sample in samples["32"])),
        f"{sum(server['rss_mib']):.0f}",
        f"{min(server['first_answer_s']):.1f}",
    ]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def _latency(samples: Sequence[dict[str, Any]]) -> str:
    return " / ".join(number(statistics.median(sample[key] for sample in samples)) for key in ("p50_ms", "p99_ms"))


def _time(microseconds: float) -> str:
    return f"{number(microseconds)} µs" if microseconds < 1000 else f"{number(microseconds / 1000)} ms"


def _versions(found: Measured) -> str:
    rows = []
    for name, packages in found["versions"].items():
        told = ", ".join(f"{package} {version}" for package, version in packages.items())
        rows.append((f"`requirements/peers-{name}.lock`" if name else "`requirements/dev.lock`", told))
    return table(rows, ("environment", "versions"), left=2)
