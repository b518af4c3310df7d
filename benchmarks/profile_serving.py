"""Where the microseconds of a scored request go: the server's protocol fed from memory, without sockets.

``python benchmarks/profile_serving.py [--connections 1 32] [--seconds 4] [--capture] [--lines]``. The real
application, router, decoder, batcher, ONNX Runtime and encoder answer requests whose bytes are handed straight to the
protocol; what they write goes nowhere. Half of the time runs undisturbed and gives the microseconds of a request, the
other half is sampled by a timer, which charges a call into C to the line that made it. Unlike a tracing profiler, it
costs a small function no more than a large one.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop
from serving import models, payloads

from nbmlops.serving.application import Application
from nbmlops.serving.control import Control
from nbmlops.serving.server import make_server

TOKEN = "benchmark"
INTERVAL = 0.0005  # seconds between two samples
SHOWN = 32

Place = tuple[str, str, int]  # file, function, and the line where lines are asked for, else 0


class Sink(asyncio.Transport):
    """A transport that counts answers instead of sending them."""

    def __init__(self, counter: Turns) -> None:
        super().__init__()
        self._counter = counter

    def write(self, data: bytes) -> None:
        """Take an answer."""
        self._counter.answered(data)

    def writelines(self, list_of_data: Any) -> None:
        """Take an answer in pieces."""
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know the addresses that a server may ask for."""
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default


@dataclass
class Turns:
    """Rounds in which every connection sends one request and all answers are waited for."""

    waiting: int = 0
    done: asyncio.Future[None] | None = None

    def answered(self, data: bytes) -> None:
        """Count one answer; wake the driver after the last."""
        if data.startswith(b"HTTP/1.1") and not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"the server answered {data[:400]!r}")
        self.waiting -= data.endswith(b"}")  # a head may come by itself
        if not self.waiting and self.done is not None:
            self.done.set_result(None)

    async def run(self, protocols: list[Any], requests: list[bytes], seconds: float) -> tuple[int, float]:
        """Send rounds for `seconds`; return how many requests were answered, and the seconds of processor time."""
        loop, place, until = asyncio.get_running_loop(), 0, time.perf_counter() + seconds
        began = time.process_time()
        while time.perf_counter() < until:
            self.waiting, self.done = len(protocols), loop.create_future()
            for protocol in protocols:
                protocol.data_received(requests[place % len(requests)])
                place += 1
            await self.done
        return place, time.process_time() - began


@dataclass
class Sampler:
    """Looks at the stack every half millisecond.

    Attributes
    ----------
    own, within : Counter of Place
        Samples in which a place was the innermost, or anywhere on the stack.
    """

    lines: bool
    own: Counter[Place] = field(default_factory=Counter)
    within: Counter[Place] = field(default_factory=Counter)

    def __enter__(self) -> Sampler:
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        seen: dict[Place, int] = {}
        while frame is not None:
            code = frame.f_code
            seen[code.co_filename, code.co_qualname, frame.f_lineno if self.lines else 0] = 1
            frame = frame.f_back
        for place in list(seen)[:1]:
            self.own[place] += 1
        self.within.update(seen)


def named(place: Place) -> str:
    """Return a place as a person looks for it."""
    file, function, line = place
    path = Path(file)
    if path.name == Path(__file__).name:
        return "(the driver)"
    where = f"{path.parent.name}/{path.name}"
    return f"{where}:{line} {function}" if line else f"{where} {function}"


def requests_bytes(count: int = 997) -> list[bytes]:
    """Return whole requests as they arrive on a socket."""
    head = f"POST /invocations HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nauthorization: Bearer {TOKEN}\r\n"
    head += "content-type: application/json\r\n"
    bodies = payloads.mlflow_split(models.table(count, seed=7))
    return [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


async def configured(bundle: Path, capture: Path | None) -> Application:
    """Return an application that serves `bundle`."""
    application = Application()
    arm = {"name": "1", "model": "m", "version": "1", "bundle": str(bundle)}
    document: dict[str, Any] = {"endpoint": "e", "token": TOKEN, "arms": [arm]}
    if capture is not None:
        document["capture"] = {"folder": str(capture)}
    await Control(application).configure(document)
    return application


async def profile(bundle: Path, options: argparse.Namespace, folder: Path) -> None:
    """Print the microseconds of a request and where they go, for each number of connections."""
    application = await configured(bundle, folder / "collected" if options.capture else None)
    server = make_server(application)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    sent = requests_bytes()
    for connections in options.connections:
        turns = Turns()
        protocols = []
        for _ in range(connections):
            protocol = server.config.http_protocol_class(
                config=server.config, server_state=server.server_state, app_state={}
            )
            protocol.connection_made(Sink(turns))
            protocols.append(protocol)
        await turns.run(protocols, sent, 0.5)
        answered, seconds = await turns.run(protocols, sent, options.seconds / 2)
        with Sampler(options.lines) as sampler:
            await turns.run(protocols, sent, options.seconds / 2)
        show(f"{connections} connections", 1e6 * seconds / answered, sampler)


def show(title: str, microseconds: float, sampler: Sampler) -> None:
    """Print one table: microseconds of a request in each function itself, and with all that it calls."""
    total = sampler.own.total() or 1
    print(f"\n{title}: {microseconds:.1f} µs of processor time a request ({1e6 / microseconds:,.0f} a second)")
    print(f"{'itself':>8} {'within':>8}  where ({total} samples)")
    for place, count in sampler.own.most_common(SHOWN):
        own, within = (microseconds * share / total for share in (count, sampler.within[place]))
        print(f"{own:8.2f} {within:8.2f}  {named(place)}")


def main() -> None:
    """Make a bundle and profile the server on it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each number of connections")
    parser.add_argument("--capture", action="store_true", help="keep what passes, as an endpoint does by default")
    parser.add_argument("--lines", action="store_true", help="by line instead of by function")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = models.onnx_bundle(Path(folder), models.to_onnx(models.fitted()))
        uvloop.run(profile(bundle, options, Path(folder)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
