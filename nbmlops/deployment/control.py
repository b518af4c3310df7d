"""The socket on which a supervisor takes orders: one line of JSON each way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbmlops.core.errors import NbmlopsError
from nbmlops.deployment.child import ChildFailed

LIMIT = 4 * 1024 * 1024  # bytes of one message

Order = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Changed(Exception):
    """The endpoint was changed since whoever wants to change it looked at it."""


class Control:
    """Answers orders; who may open the socket is the file system's business.

    Parameters
    ----------
    path : pathlib.Path
        Of the socket.
    orders : mapping of str to callable
        What is done for each ``op``; it returns what is answered beside ``"ok": true``.
    """

    def __init__(self, path: Path, orders: Mapping[str, Order]) -> None:
        self.path = path
        self._orders = orders
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, on a socket of mode 0600."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._answer, self.path, limit=LIMIT)
        self.path.chmod(0o600)

    def close(self) -> None:
        """Listen no longer, and remove the socket."""
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one message."""
        with suppress(ConnectionError):
            try:
                message = json.loads(await reader.readline())
                answer = {"ok": True, **await self._orders[message["op"]](message)}
            except ChildFailed as error:
                answer = refusal(error)
            except Changed as error:
                answer = {"ok": False, "code": "changed", "error": str(error), "tail": []}
            except (NbmlopsError, ValueError, KeyError, OSError) as error:
                answer = {"ok": False, "code": "refused", "error": str(error), "tail": []}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


def refusal(error: ChildFailed) -> dict[str, Any]:
    """Return a child's failure as the answer to whoever waits."""
    return {"ok": False, "code": error.code, "error": str(error), "tail": list(error.tail)}
