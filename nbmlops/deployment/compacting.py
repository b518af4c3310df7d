"""Lets another process compact what an endpoint's scorers collect, every few minutes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from nbmlops.core.workspace import Workspace

PERIOD = 300.0  # seconds from the end of one compaction to the next
DAY = 86_400.0  # seconds after which one is due although nothing is new: old data is deleted by it
MODULE = "nbmlops.monitoring.compact"  # of a room above this one, which is why it is named and not imported
SPOOLS = "*.spool"
NICE = 10  # answering comes first


class Compacting:
    """Starts compactions of one endpoint's collected data, one at a time.

    Parameters
    ----------
    workspace : Workspace or None
        None for a trial, of which nothing is kept.
    endpoint : str
    log : logging.Logger
    """

    def __init__(self, workspace: Workspace | None, endpoint: str, log: logging.Logger) -> None:
        self._folder = None if workspace is None else workspace.collected / endpoint
        self._bundles = Path() if workspace is None else workspace.bundles
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._ended: float | None = None

    async def look(self, now: float) -> None:
        """Start a compaction if one is due; `now` is monotonic time, in seconds."""
        if self._folder is None:
            return
        if self._process is not None:
            if self._process.returncode is None:
                return
            await self._finish(self._process)
            self._process, self._ended = None, now
        if self._ended is None:
            self._ended = now
        since = now - self._ended
        if since > DAY or (since > PERIOD and any(self._folder.glob(SPOOLS))):
            await self._start(self._folder)

    async def close(self) -> None:
        """End a compaction that runs; the next one does what it left."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _start(self, folder: Path) -> None:
        command = (sys.executable, "-m", MODULE, str(folder), "--bundles", str(self._bundles), "--attached")
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe, preexec_fn=lambda: os.nice(NICE)
            )
        except OSError as error:
            self._log.error("no compaction could be started: %s", error)

    async def _finish(self, process: asyncio.subprocess.Process) -> None:
        _, said = await process.communicate()
        if process.returncode:
            last = said.decode(errors="replace").strip().splitlines()[-1:]
            self._log.error("collected data was not compacted: %s", last[0] if last else f"exit {process.returncode}")
