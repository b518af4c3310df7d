"""What a supervisor writes into the journal, off its event loop and in order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from nbmlops.core.errors import NbmlopsError
from nbmlops.core.workspace import Workspace
from nbmlops.deployment.health import Notice

ACTOR = "supervisor"
LAST_WORDS = 10.0  # seconds that the end waits for what is not yet written


class Recorder:
    """Appends notices one after the other; without a workspace they only go to the log."""

    def __init__(self, workspace: Workspace | None, endpoint: str, log: logging.Logger) -> None:
        self._workspace = workspace
        self._endpoint = endpoint
        self._log = log
        self._queue: asyncio.Queue[Notice] = asyncio.Queue()
        self._task = asyncio.create_task(self._work())

    def tell(self, notice: Notice) -> None:
        """Take a notice; returns at once."""
        self._log.warning("%s: %s", notice.type, notice.because)
        self._queue.put_nowait(notice)

    async def close(self) -> None:
        """Write what is still waiting, then stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), LAST_WORDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            notice = await self._queue.get()
            try:
                await asyncio.to_thread(self._append, notice)
            except NbmlopsError as error:  # serving goes on where the journal can't be written
                self._log.error("the journal could not take %s: %s", notice.type, error)
            finally:
                self._queue.task_done()

    def _append(self, notice: Notice) -> None:
        if self._workspace is None:
            return
        from nbmlops.journal import Journal  # 25 MB that a supervisor without news does without

        data: dict[str, Any] = {"endpoint": self._endpoint, "because": notice.because, **notice.data}
        journal = Journal.open(self._workspace)
        journal.append(notice.type, f"endpoint/{self._endpoint}", data, actor=ACTOR)
