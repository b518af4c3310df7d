"""The worker process: one model in its own environment, behind a Unix socket.

``python -m nbmlops.serving.worker --bundle DIR --socket PATH`` loads the model, says so on stdout in one line of JSON,
and answers frames until its stdin ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from .assets import enter
from .batching import guarded
from .bundle import read_bundle
from .errors import ModelFailed, ServingError
from .frames import AnswerFrame, FrameError, Hello, ScoreFrame, model_input, pack, pack_array, read_frame
from .outputs import to_json
from .pins import Installed, installed_for
from .runtimes import Runtime, make_runtime


def answer(runtime: Runtime, frame: ScoreFrame) -> bytes:
    """Return the frame that answers a call."""
    try:
        outputs = guarded(runtime, model_input(frame), frame.output, params=frame.params)
        labels = None if outputs.labels is None else pack_array(outputs.labels)
        probabilities = None if outputs.probabilities is None else pack_array(outputs.probabilities)
        plain = labels is None and probabilities is None
        payload = to_json(outputs.named if outputs.named is not None else outputs.payload) if plain else None
        return pack(AnswerFrame(frame.id, labels, probabilities, payload))
    except ModelFailed as error:
        return pack(AnswerFrame(frame.id, error=error.traceback, failure=error.failure))
    except (FrameError, TypeError, NotImplementedError, ValueError) as error:
        return pack(AnswerFrame(frame.id, error=f"the model's answer can't be sent: {error}"))


class Worker:
    """Serves one runtime to any number of scorers, one call at a time."""

    def __init__(self, runtime: Runtime, name: str, installed: Installed | None = None) -> None:
        self._runtime = runtime
        self._hello = Hello(os.getpid(), name, runtime.outputs, installed)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._decoder = msgspec.msgpack.Decoder(ScoreFrame)
        self._scorers: set[asyncio.StreamWriter] = set()

    async def serve(self, socket: Path, stop: asyncio.Event) -> None:
        """Answer on `socket` until `stop` is set."""
        socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._connected, path=str(socket))
        socket.chmod(0o600)
        installed = msgspec.to_builtins(self._hello.installed)
        ready = {"ready": True, "pid": os.getpid(), "runtime": self._hello.runtime, "installed": installed}
        print(json.dumps(ready), flush=True)  # noqa: T201
        await stop.wait()
        server.close()
        for writer in self._scorers:
            writer.close()
        socket.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._scorers.add(writer)
        loop = asyncio.get_running_loop()
        try:
            writer.write(pack(self._hello))
            while True:
                frame = self._decoder.decode(await read_frame(reader))
                writer.write(await loop.run_in_executor(self._thread, answer, self._runtime, frame))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, FrameError, msgspec.MsgspecError):
            writer.close()
        finally:
            self._scorers.discard(writer)


def watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` once stdin ends, which it does when the process that started this one is gone."""

    def wait() -> None:
        while sys.stdin.buffer.readline():
            pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


async def _main(worker: Worker, socket: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch_stdin(loop, stop)
    await worker.serve(socket, stop)


def main() -> int:
    """Run the worker; 0 when it was told to end, 1 when the model can't be loaded."""
    parser = argparse.ArgumentParser(prog="worker", description="Serves one bundle's model on a Unix socket.")
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--socket", type=Path, required=True, help="the path of the Unix socket to answer on")
    arguments = parser.parse_args()
    installed = Installed()
    try:
        bundle = read_bundle(arguments.bundle.absolute())
        socket = arguments.socket.absolute()
        installed = installed_for(bundle.path)
        enter(bundle.path, Path.cwd())
        runtime = make_runtime(bundle)
    except ServingError as error:
        told = "; ".join([str(error), *map(str, installed.differs)])  # an old model in a new library fails like this
        print(json.dumps({"ready": False, "code": error.code, "error": told}), flush=True)  # noqa: T201
        return 1
    asyncio.run(_main(Worker(runtime, bundle.manifest.runtime, installed), socket))
    return 0


if __name__ == "__main__":
    # A model that hangs must not keep the process: its thread is not waited for.
    code = main()
    sys.stdout.flush()
    os._exit(code)
