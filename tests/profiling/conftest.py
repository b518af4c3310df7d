from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nbmlops.profiling import Level, ProfileReport
from nbmlops.profiling.recommend import recommend

SERVER = """
import asyncio, os, sys
ANSWERS, DROP_AFTER, END_AFTER = {answers!r}, {drop_after}, {end_after}
class Server(asyncio.Protocol):
    count = 0
    def connection_made(self, transport):
        self.transport, self.seen = transport, b""
    def data_received(self, data):
        self.seen += data
        if not self.seen.endswith(b"}}"):
            return
        self.seen, place = b"", Server.count
        Server.count += 1
        if place == END_AFTER:
            os._exit(0)
        if place == DROP_AFTER:
            return self.transport.close()
        self.transport.write(ANSWERS[place % len(ANSWERS)])
async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().connect_read_pipe(lambda: Watch(), sys.stdin)
    await server.serve_forever()
class Watch(asyncio.Protocol):
    def connection_lost(self, error):
        os._exit(0)
asyncio.run(main())
"""
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start small HTTP servers that answer as they are told, and return their addresses."""
    started: list[subprocess.Popen[str]] = []

    def start(answers: tuple[bytes, ...] = (OK,), *, drop_after: int = -1, end_after: int = -1) -> str:
        script = SERVER.format(answers=answers, drop_after=drop_after, end_after=end_after)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return f"http://127.0.0.1:{int(process.stdout.readline())}/invocations"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def make_level(concurrency: int = 1, **facts: Any) -> Level:
    values = {
        "requests": 100,
        "rps": 50.0,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "p99_ms": 3.0,
        "cpu_s_per_1k": 0.5,
        "cores": 0.4,
        "errors": 0,
    }
    return Level(concurrency, **{**values, **facts})


@pytest.fixture
def report() -> ProfileReport:
    levels = (make_level(1), make_level(8, rps=300.0), make_level(32, errors=5, error_kinds={"429": 5}))
    advice = recommend(levels, 83.0, 4)
    return ProfileReport(levels, 80.0, 83.0, advice, runtime="onnx", rows=7, seconds=2.0)
