"""The entry of the small detached process that owns one endpoint.

``python -m nbmlops.deployment.supervisor FOLDER [--workspace ROOT] [--attached]`` writes one line of JSON to its
standard output once the endpoint answers, or once it is clear that it will not; then it needs nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from nbmlops.core.errors import NbmlopsError
from nbmlops.core.workspace import Workspace
from nbmlops.deployment.child import ChildFailed
from nbmlops.deployment.control import refusal
from nbmlops.deployment.folder import RunFolder, take_lock
from nbmlops.deployment.listener import PortInUse, listen
from nbmlops.deployment.supervision import Launch, Supervisor

LOG_BYTES = 1024 * 1024  # of the log and of the one older part that is kept


def main(argv: Sequence[str] | None = None) -> int:
    """Run a supervisor to its end; the exit code is 0 where it had started."""
    parser = argparse.ArgumentParser(prog="python -m nbmlops.deployment.supervisor")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--attached", action="store_true")
    parser.add_argument("--checked", action="store_true")
    options = parser.parse_args(argv)
    if not options.attached:
        _detach()
    announcement = os.dup(1)
    _point(1, os.devnull)
    workspace = Workspace(options.workspace) if options.workspace else None
    started = Launch(RunFolder(options.folder), workspace, options.attached, options.checked)
    code = asyncio.run(_run(started, announcement))
    if options.attached and code == 0:  # whoever started the trial may have been killed
        shutil.rmtree(options.folder, ignore_errors=True)
    return code


async def _run(launch: Launch, announcement: int) -> int:
    if not take_lock(launch.folder.lock):
        _announce(announcement, {"ok": False, "code": "already_running", "error": "another supervisor is alive"})
        return 1
    try:
        listener = _listen(launch)
    except PortInUse as error:
        _announce(announcement, {"ok": False, "code": "port_in_use", "error": str(error), "port": error.port})
        return 1
    supervisor = Supervisor(launch, listener, _log(launch.folder))
    try:
        try:
            _announce(announcement, {"ok": True, **await _started(supervisor, announcement)})
        except ChildFailed as error:
            _announce(announcement, refusal(error))
            return 1
        except NbmlopsError as error:
            _announce(announcement, {"ok": False, "code": "refused", "error": str(error)})
            return 1
        except (BrokenPipeError, asyncio.CancelledError):  # whoever asked for it does not know that it runs
            return 1
        await supervisor.serve()
    finally:
        await supervisor.close()
    return 0


async def _started(supervisor: Supervisor, announcement: int) -> dict[str, Any]:
    """Start, unless whoever waits goes away meanwhile: then the pipe to it breaks."""
    loop, start = asyncio.get_running_loop(), asyncio.create_task(supervisor.start())
    loop.add_reader(announcement, start.cancel)
    try:
        return await start
    finally:
        loop.remove_reader(announcement)


def _listen(launch: Launch) -> socket.socket:
    """Listen on the port that the endpoint has had, else on the one asked for, else on a free one."""
    folder = launch.folder
    asked = folder.read(folder.spec).get("port")
    if asked is None and launch.workspace is not None:
        asked = folder.read(folder.state).get("port")
    return listen(asked, str(folder.path))


def _announce(descriptor: int, message: dict[str, Any]) -> None:
    try:
        os.write(descriptor, json.dumps(message).encode() + b"\n")
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _log(folder: RunFolder) -> logging.Logger:
    handler = RotatingFileHandler(folder.log, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log = logging.getLogger("nbmlops.endpoint")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    return log


def _detach() -> None:
    """Leave the process that started us: its session, its terminal and its children."""
    if os.fork():
        os._exit(0)
    os.setsid()
    _point(0, os.devnull)


def _point(descriptor: int, path: str) -> None:
    opened = os.open(path, os.O_RDWR)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    raise SystemExit(main())
