"""Starting a supervisor and talking to it: one line of JSON each way."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nbmlops.core.errors import EndpointError, NbmlopsError
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import environments
from nbmlops.deployment.folder import RunFolder

MARGIN = 10.0  # seconds beyond what the supervisor itself allows its processes
PAUSE = 0.02  # seconds between looks
STEPS = 3  # start workers, start scorers, load the arms: each may take the time-out


class ChangedMeanwhile(EndpointError):
    """The endpoint is no longer at the revision that the order was made for."""


@dataclass(frozen=True)
class Launched:
    """A supervisor that said that its endpoint answers.

    Attributes
    ----------
    process : subprocess.Popen
        It, where attached; else the one that handed over to it.
    state : dict
        What it said of itself.
    """

    process: subprocess.Popen[bytes]
    state: dict[str, Any]


def launch(folder: RunFolder, workspace: Workspace | None = None, *, checked: bool = False) -> Launched:
    """Start the supervisor of the endpoint in `folder` and wait until it answers.

    Parameters
    ----------
    workspace : Workspace, optional
        Without one it is a trial: nothing is journalled, and it ends with this process.
    checked : bool, default False
        Refuse models in another environment than their own.

    Raises
    ------
    EndpointError
        When it can't start; nothing of it runs then.
    Refused
        A model would be served in another environment than its own.
    """
    argv = [sys.executable, "-m", "nbmlops.deployment.supervisor", str(folder.path)]
    argv += ["--workspace", str(workspace.root)] if workspace else ["--attached"]
    argv += ["--checked"] if checked else []
    environment = os.environ | {"NBMLOPS_START_TIMEOUT": str(settings().start_timeout)}
    with folder.stderr.open("wb") as errors:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if workspace else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder.path,
            env=environment,
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        with process.stdout:
            answer = _first_line(process.stdout, settings().start_timeout * STEPS + MARGIN)
        if answer is None or not answer.get("ok"):
            raise _explain(folder, answer)
    except BaseException:
        end(process)
        _wait_for_end(folder)
        raise
    if workspace:
        process.wait()
    return Launched(process, answer)


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a supervisor that has no reason to live any more: its input is closed, or it could not start."""
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _wait_for_end(folder: RunFolder) -> None:
    """Wait for a detached supervisor that could not start, or that nobody waits for, to end what it had begun."""
    deadline = time.monotonic() + MARGIN
    while folder.alive() and time.monotonic() < deadline:
        time.sleep(PAUSE)


def ask(control: Path, message: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Send a control message to a living supervisor and return its answer.

    Parameters
    ----------
    timeout : float, seconds

    Raises
    ------
    EndpointError
        When it does not answer, or says no.
    Refused
        A model would be served in another environment than its own.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(control))
            connection.sendall(json.dumps(message).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise EndpointError(
            f"the endpoint's supervisor does not answer ({error})",
            hint="Look at its health again in a moment; restart it if it stays down.",
        ) from error
    if answer.get("code") == "changed":
        raise ChangedMeanwhile(str(answer.get("error")))
    if not answer.get("ok"):
        raise refused(answer)
    assert isinstance(answer, dict)
    return answer


def refused(answer: dict[str, Any], tail: list[str] | None = None) -> NbmlopsError:
    """Return what a supervisor said as an error, with the last lines of the process that failed."""
    if answer.get("code") == environments.CODE:
        return environments.refused(answer)
    lines = list(tail if tail is not None else answer.get("tail", []))[-8:]
    last = "".join(f"\n    {line}" for line in lines)
    if answer.get("code") == "port_in_use":
        port = int(answer["port"])
        return EndpointError(
            f"port {port} is in use{_owner(port)}",
            expected="a free port",
            hint="Stop that process, choose another port, or choose none and let nbmlops take a free one.",
        )
    return EndpointError(f"the endpoint could not be brought up: {answer.get('error', answer)}{last}")


def _explain(folder: RunFolder, answer: dict[str, Any] | None) -> NbmlopsError:
    if answer is None:
        answer = {"error": f"its supervisor gave no answer within {settings().start_timeout:g} s or ended"}
        return refused(answer, folder.last_lines(8))
    return refused(answer)


def _first_line(stream: IO[bytes], timeout: float) -> dict[str, Any] | None:
    """Return the line as JSON; None where the stream ends or the time is up before it."""
    deadline = time.monotonic() + timeout
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        block = os.read(stream.fileno(), 65536) if ready else b""
        if not block:
            return None
        line += block
    answer = json.loads(line)
    assert isinstance(answer, dict)
    return answer


def _owner(port: int) -> str:
    """Return `` by NAME (pid N)`` where the system tells who listens on `port`, else nothing."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
