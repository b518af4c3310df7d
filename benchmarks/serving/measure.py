"""Rounds in which all servers take turns, and what is kept of them: plain data, from which the report is made."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import requests

from . import models, payloads
from .load import load
from .peers import Files, interpreter
from .processes import Running

CHECKED = 100  # rows whose answers must be the model's own before anything is measured
SENT = 997  # rows that rotate; a prime, so that no server meets them in step with its batches
LEVELS = (1, 32)
MANY = 128  # connections, for the servers that answer more than FAST requests a second
FAST = 1_000.0
SEARCHED = (4, 8)  # further numbers of connections that are tried where a peer's best is asked for
LONGER = 200.0  # requests a second below which a run takes a second more
PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "mlflow", "mlserver", "bentoml", "pydantic", "msgspec")
PACKAGES += ("onnxruntime", "scikit-learn", "numpy", "pandas")


class Server(Protocol):
    """What `peers.Peer` and `ours.Ours` have in common."""

    name: str
    library: str
    runtime: str
    model: str
    batching: bool
    environment: str
    bodies: payloads.Payloads
    labels: payloads.Labels

    def serve(self, files: Files) -> contextlib.AbstractContextManager[Running]:
        """Run it; yield it when it has scored a row."""
        ...


@dataclass(frozen=True)
class Extent:
    """How much is measured: rounds, seconds of a run, starts of each server."""

    runs: int = 5
    seconds: float = 2.0
    starts: int = 2


@dataclass
class Entry:
    """A server that takes part, with what was measured of it."""

    server: Server
    running: Running
    sent: Path
    first_answers: list[float]
    warm_rps: float = 0.0
    rss_mib: list[float] = field(default_factory=list)
    samples: dict[int, list[dict[str, float]]] = field(default_factory=dict)

    def run(self, connections: int, seconds: float) -> dict[str, float]:
        """Load it once; return what came of it, with its processor time a request."""
        before = self.running.cpu_seconds()
        sample = load(self.running.url, self.running.headers, self.sent, connections=connections, seconds=seconds)
        spent = self.running.cpu_seconds() - before
        return {
            "rps": sample.rps,
            "p50_ms": sample.p50_ms,
            "p99_ms": sample.p99_ms,
            "cpu_us": 1e6 * spent / sample.requests,
            "errors": sample.errors,
        }

    def rps(self, connections: int) -> float:
        """Return the median of its requests a second so far."""
        return statistics.median(sample["rps"] for sample in self.samples[connections])

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        server = self.server
        return {
            "library": server.library,
            "runtime": server.runtime,
            "model": server.model,
            "batching": server.batching,
            "first_answer_s": self.first_answers,
            "rss_mib": self.rss_mib,
            "samples": {str(level): samples for level, samples in self.samples.items()},
        }


def compare(servers: Sequence[Server], files: Files, extent: Extent) -> dict[str, Any]:
    """Start all servers, check their answers, load them in turns; return everything as plain data."""
    began, load_before = time.time(), os.getloadavg()
    with contextlib.ExitStack() as stack:
        entries = [_entry(stack, server, files, starts=extent.starts) for server in servers]
        for entry in entries:
            told(f"warming up {entry.server.name}")
            entry.warm_rps = entry.run(32, 1)["rps"]
        for number in range(extent.runs):
            told(f"run {number + 1} of {extent.runs}")
            for entry in entries:
                _round(entry, extent.seconds)
        for entry in entries:
            entry.rss_mib = entry.running.rss_mib()
    return {
        "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
        "minutes": (time.time() - began) / 60,
        "runs": extent.runs,
        "seconds": extent.seconds,
        "load_before": list(load_before),
        "machine": machine(),
        "versions": {name: versions(name) for name in dict.fromkeys(server.environment for server in servers)},
        "servers": {entry.server.name: entry.to_dict() for entry in entries},
    }


def _entry(stack: contextlib.ExitStack, server: Server, files: Files, *, starts: int) -> Entry:
    seconds = []
    for _ in range(starts - 1):
        with server.serve(files) as running:
            seconds.append(running.first_answer)
    running = stack.enter_context(server.serve(files))
    told(f"{server.name}: first answer after {running.first_answer:.2f} s")
    check(server, running, files)
    sent = files.folder / f"{server.name}.bodies"
    sent.write_bytes(b"\n".join(server.bodies(models.table(SENT, seed=7))) + b"\n")
    return Entry(server, running, sent, [*seconds, running.first_answer])


def check(server: Server, running: Running, files: Files) -> None:
    """Hold a server's answers against the fitted model's own.

    Raises
    ------
    SystemExit
        They differ, so that its speed means nothing.
    """
    if server.runtime == "none":
        return
    rows: pd.DataFrame = models.table(CHECKED, seed=11)
    wanted = files.fitted[server.model].predict(rows).tolist()
    with requests.Session() as session:
        answers = [session.post(running.url, data=body, headers=dict(running.headers)) for body in server.bodies(rows)]
    got = [label for answer in answers for label in server.labels(answer.json())]
    if got != wanted:
        differ = sum(one != other for one, other in zip(got, wanted, strict=False))
        raise SystemExit(f"{server.name} answers {len(got)} of {CHECKED} rows and {differ} differently from its model")


def _round(entry: Entry, seconds: float) -> None:
    for connections in levels(entry):
        slow = entry.warm_rps < LONGER
        entry.samples.setdefault(connections, []).append(entry.run(connections, seconds + slow))
    told("  " + entry.server.name + ": " + ", ".join(f"{at}: {entry.rps(at):,.0f}/s" for at in entry.samples))


def levels(entry: Entry) -> list[int]:
    """Return the numbers of connections that a server is loaded with."""
    if entry.server.library == "MLflow":
        return sorted((*LEVELS, *SEARCHED))
    return [*LEVELS, MANY] if entry.warm_rps >= FAST else list(LEVELS)


def machine() -> dict[str, Any]:
    """Return what of the machine a figure depends on."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def versions(environment: str) -> dict[str, str]:
    """Return the versions of what matters in an environment."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({name: found[name] for name in sys.argv[1:] if name in found}))"
    )
    done = subprocess.run(
        [str(interpreter(environment)), "-c", code, *PACKAGES], capture_output=True, text=True, check=True
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def told(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)
