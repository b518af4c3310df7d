"""Load by ``wrk``: of all clients the one that costs the least, so that it is the server that is measured."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "rotate.lua"
TIMEOUT = 60  # seconds that an answer may take
ERRORS = 0.01  # share of the requests from which on a server is not fit to be measured
MISSING = "wrk is missing: install it (Debian, Ubuntu: sudo apt install wrk)."


@dataclass(frozen=True)
class Sample:
    """What came of loading one server for a while.

    Attributes
    ----------
    rps : float
        Requests answered in a second.
    p50_ms, p99_ms : float, milliseconds
    requests, errors : int
        Requests answered, and those that were refused or got no answer.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int


def check_wrk() -> str:
    """Return wrk's version.

    Raises
    ------
    SystemExit
        It is not installed; the message says how to.
    """
    if shutil.which("wrk") is None:
        raise SystemExit(MISSING)
    said = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).split()[1]


def load(url: str, headers: Mapping[str, str], bodies: Path, *, connections: int, seconds: float) -> Sample:
    """Send the lines of `bodies` in turn over `connections` connections.

    Raises
    ------
    RuntimeError
        More than one request in a hundred failed, so that its speed means nothing.
    """
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"]
    command += ["--timeout", f"{TIMEOUT}s", "-s", str(SCRIPT), url, "--", str(bodies)]
    command += [f"{name}: {value}" for name, value in headers.items()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["errors"] > ERRORS * found["requests"] or not found["requests"]:
        raise RuntimeError(f"{url}: {found['errors']} of {found['requests']} requests failed\n{done.stdout}")
    rps = 1e6 * found["requests"] / found["microseconds"]
    return Sample(rps, found["p50"] / 1000, found["p99"] / 1000, found["requests"], found["errors"])
