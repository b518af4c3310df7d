"""An endpoint as a notebook deploys it, seen from outside: its processes, sockets, port and what it collected."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from nbmlops.core.workspace import Workspace
from nbmlops.deployment import ArmSpec, Capture, EndpointSpec, EndpointStatus, LocalTarget, Resources, operate
from nbmlops.journal import Journal
from nbmlops.monitoring.collected import CollectedData
from nbmlops.testing.models import MODEL, offset_onnx, offset_pickled

from .load import Load

NAME = "flights"
OFFSETS = {"1": 10.0, "2": 20.0}
WORKERS = 2
WHOLE = 2 * WORKERS  # as many scorers, each with a worker process for the pickled model
MARK = "NBMLOPS_CAMPAIGN"  # in the environment of every process that is started from here
KERNEL = Path(__file__).with_name("kernel.py")
LOOK = 0.02  # seconds between looks


class World:
    """One endpoint with an ONNX model in its scorers and a pickled one in worker processes.

    Parameters
    ----------
    root : pathlib.Path
        An empty folder for the workspace.
    """

    def __init__(self, root: Path) -> None:
        self._mark = os.environ[MARK] = uuid.uuid4().hex
        (root / ".nbmlops").mkdir(parents=True)
        self.workspace = Workspace(root).open()
        self.journal = Journal.open(self.workspace)
        self.target = LocalTarget(self.workspace, self.journal)
        self.arms = (offset_onnx(self.workspace, "1", 10.0), offset_pickled(self.workspace, "2", 20.0))

    def deploy(self, mode: str) -> EndpointStatus:
        """Bring the endpoint up, or to another mode of capture while it serves."""
        spec = EndpointSpec(
            NAME, MODEL, _halved(self.arms), resources=Resources(workers=WORKERS), capture=Capture(mode)
        )
        return self.target.apply(self.target.plan(spec))

    def load(self) -> Load:
        """Return load for the endpoint, not started yet."""
        return Load(self.status().url, self.target.token(NAME), OFFSETS)

    def status(self) -> EndpointStatus:
        """Return what the endpoint says of itself."""
        return self.target.status(NAME)

    def victims(self, part: str) -> list[int]:
        """Return the pids of the scorers or of the workers: `part` is in their command lines."""
        return [pid for pid in self.status().pids if part in " ".join(psutil.Process(pid).cmdline())]

    def processes(self) -> set[int]:
        """Return the pids of all that was started from here and still runs."""
        found = set()
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
            except psutil.Error:
                continue
        return found - {os.getpid()}

    def is_whole(self) -> bool:
        """Whether every process runs that should, and none that should not."""
        status = self.status()
        return len(status.pids) == WHOLE and self.processes() == {status.pid, *status.pids}

    def kernel(self) -> subprocess.Popen[str]:
        """Start another kernel that moves the endpoint's traffic again and again, and wait for its first change."""
        command = [sys.executable, str(KERNEL), str(self.workspace.root), NAME]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def collected(self, since: float) -> dict[str, bool]:
        """Return prediction id -> whether the kept row has the right answer, of what came after `since`."""
        frame = CollectedData.of(self.workspace, NAME).frame(since=datetime.fromtimestamp(since, UTC))
        right = frame["prediction"] == frame["x"] + frame["version"].map(OFFSETS)
        return dict(zip(frame["prediction_id"].str.removesuffix(":0"), right, strict=True))

    def leave(self) -> list[str]:
        """Take the endpoint down and return what is left of it that should not be."""
        port = urlsplit(self.status().url).port
        operate.down(self.workspace, self.journal)
        left = []
        if not wait_until(lambda: not self.processes()):
            left.append(f"processes {sorted(self.processes())} outlive the endpoint")
        left += [f"socket {path.name} is left" for path in self.workspace.sockets.iterdir()]
        left += [f"folder {path.name} is left" for path in self.workspace.run.iterdir() if path.is_dir()]
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port or 0)) == 0:
                left.append(f"something still listens on port {port}")
        return left

    def abandon(self) -> None:
        """End whatever still runs."""
        for pid in self.processes():
            psutil.Process(pid).kill()


def kill(pids: list[int], chance: random.Random) -> tuple[float, int]:
    """Kill one of `pids`; return when, in seconds since the epoch, and which."""
    pid, now = chance.choice(sorted(pids)), time.time()
    psutil.Process(pid).kill()
    return now, pid


def wait_until(condition: Callable[[], bool], patience: float = 10.0) -> float | None:
    """Return the seconds until `condition` held, None where it does not within `patience` seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            return None
        time.sleep(LOOK)
    return max(time.monotonic() - began, 1e-3)


def _halved(arms: Sequence[ArmSpec]) -> tuple[ArmSpec, ...]:
    return tuple(replace(arm, weight=100.0 / len(arms)) for arm in arms)
