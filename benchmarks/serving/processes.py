"""Servers as processes: started, asked until they answer, weighed, ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

PATIENCE = 120.0  # seconds until a server has to answer
LAST = 15.0  # seconds that it may take to end by itself


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes
    ----------
    url : str
        Where rows are sent to.
    headers : mapping of str to str
    pids : tuple of int
        Its processes' roots; their descendants belong to it.
    first_answer : float, seconds
        From the command that starts it to its first answer.
    """

    url: str
    headers: Mapping[str, str]
    pids: tuple[int, ...]
    first_answer: float

    def rss_mib(self) -> list[float]:
        """Return the resident memory of each of its processes, in MiB, the largest first."""
        return sorted((process.memory_info().rss / 2**20 for process in family(self.pids)), reverse=True)

    def cpu_seconds(self) -> float:
        """Return the processor time that its processes have used."""
        times = [process.cpu_times() for process in family(self.pids)]
        return float(sum(one.user + one.system for one in times))


def family(pids: Sequence[int]) -> list[psutil.Process]:
    """Return the processes and all that they started."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found |= {one.pid: one for one in (root, *root.children(recursive=True))}
    return list(found.values())


def free_port() -> int:
    """Return a port that was free a moment ago; the peers take no socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def started(command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Start a server in `folder`; end it and its descendants afterwards. Yield its process id."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        members = family((process.pid,))
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LAST)
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def first_answer(url: str, headers: Mapping[str, str], body: bytes, *, began: float, log: Path) -> float:
    """Ask until a row is scored; return the seconds since `began`, of `time.perf_counter`.

    Raises
    ------
    TimeoutError
        With the last lines of its log.
    """
    refused = "nothing listens"
    while time.perf_counter() < began + PATIENCE:
        with contextlib.suppress(requests.ConnectionError):
            answer = requests.post(url, data=body, headers=dict(headers), timeout=PATIENCE)
            if answer.ok:
                return time.perf_counter() - began
            refused = answer.text[:500]
        time.sleep(0.01)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""
    raise TimeoutError(f"{url} scored nothing within {PATIENCE:g} s: {refused}\n{tail}")
