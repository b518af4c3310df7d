"""The scorer process: answers HTTP on an inherited socket and takes orders on stdin.

``python -m nbmlops.serving.scorer --fd N``. Each line on stdin is an order and is answered by one line on stdout:
``{"op": "configure", "config": {…}}``, ``{"op": "installed", "bundle": PATH}``, ``{"op": "stats"}``,
``{"op": "drain"}``. The first line on stdout says that the process is there. It accepts connections once it was
configured; until then they wait in the socket's queue. When stdin ends, it finishes what is in flight and ends too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
from typing import Any

import msgspec
import uvloop

from .application import Application
from .control import Control
from .errors import ServingError
from .server import inherited, make_server

LAST_ANSWER = 5.0  # seconds that the answer to the last order may take


class Scorer:
    """One scorer process.

    Parameters
    ----------
    descriptor : int
        The file descriptor of the listening socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._application = Application()
        self._server = make_server(self._application)
        self._control = Control(self._application)
        self._configured = asyncio.Event()
        self._ended = asyncio.Event()
        self._answered = threading.Event()
        self._answered.set()

    async def run(self) -> None:
        """Serve until stdin ends or the process is told to end."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._orders, args=(loop,), name="orders", daemon=True).start()
        say({"ready": True, "pid": os.getpid()})
        waits = [loop.create_task(event.wait()) for event in (self._configured, self._ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if self._configured.is_set() and not self._ended.is_set():
            await self._server.serve(sockets=[inherited(self._descriptor)])
        await self._last_answer()
        await self._control.close()

    async def _last_answer(self) -> None:
        """Wait until the order that ended the process is answered; the thread that answers would end with it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWER):
                while not self._answered.is_set():
                    await asyncio.sleep(0.005)

    def _orders(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read orders, one line at a time, in a thread of its own."""
        for line in sys.stdin.buffer:
            if line.strip():
                self._answered.clear()
                say(asyncio.run_coroutine_threadsafe(self._obey(line), loop).result())
                self._answered.set()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ended.set()
        self._server.should_exit = True

    async def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            order = msgspec.json.decode(line, type=dict[str, Any])
            operation = order.get("op")
            if operation == "configure":
                result = await self._control.configure(order.get("config"))
                self._configured.set()
                return {"ok": True, **result}
            if operation == "installed":
                return {"ok": True, **await self._control.installed(order.get("bundle"))}
            if operation == "stats":
                return {"ok": True, "stats": self._control.stats()}
            if operation == "drain":
                return {"ok": True, **await self._drain()}
            raise ServingError("unknown_order", f"there is no order {operation!r}")
        except ServingError as error:
            return {"ok": False, "code": error.code, "error": str(error)}
        except msgspec.MsgspecError as error:
            return {"ok": False, "code": "malformed_order", "error": str(error)}
        except Exception as error:  # noqa: BLE001 - an order that fails must be answered, or its giver waits for ever
            return {"ok": False, "code": "internal_error", "error": f"{type(error).__name__}: {error}"}

    async def _drain(self) -> dict[str, Any]:
        """Stop accepting and wait until nothing is in flight; the process then ends."""
        in_flight = self._application.in_flight
        self._end()
        while self._application.in_flight:
            await asyncio.sleep(0.01)
        return {"drained": in_flight}


def say(message: dict[str, Any]) -> None:
    """Write one line of JSON to stdout; a reader that went away is no matter."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)  # noqa: T201


async def _serve(descriptor: int) -> None:
    await Scorer(descriptor).run()


def main() -> int:
    """Run the scorer."""
    parser = argparse.ArgumentParser(prog="scorer", description="Answers scoring requests on an inherited socket.")
    parser.add_argument("--fd", type=int, required=True, help="the file descriptor of the listening socket")
    uvloop.run(_serve(parser.parse_args().fd))
    return 0


if __name__ == "__main__":
    # A model's thread that hangs must not keep the process, so nothing is waited for at the interpreter's end.
    code = main()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code)
