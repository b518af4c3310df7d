"""Starts the island's processes and talks to them; everything started is ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

PATIENCE = 60.0


class Process:
    """A process that speaks lines of JSON."""

    def __init__(self, *arguments: str, pass_fds: tuple[int, ...] = (), env: dict[str, str] | None = None, cwd=None):
        self.popen = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )

    def line(self) -> str:
        ready, _, _ = select.select([self.popen.stdout], [], [], PATIENCE)
        assert ready, "no answer in time"
        return self.popen.stdout.readline().decode()

    def read(self) -> Any:
        return json.loads(self.line())

    def order(self, **order: Any) -> Any:
        self.popen.stdin.write(json.dumps(order).encode() + b"\n")
        self.popen.stdin.flush()
        return self.read()

    def end(self) -> int:
        """Close its stdin and wait for its end."""
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        return self.popen.wait(PATIENCE)


@contextlib.contextmanager
def process(*arguments: str, **more: Any) -> Iterator[Process]:
    started = Process(*arguments, **more)
    try:
        yield started
    finally:
        started.popen.kill()
        started.popen.wait(PATIENCE)
        started.popen.stdin.close()
        started.popen.stdout.close()


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def scorer(listener: socket.socket, package: str = "nbmlops.serving", **more: Any) -> Iterator[Process]:
    fd = listener.fileno()
    with process("-m", f"{package}.scorer", "--fd", str(fd), pass_fds=(fd,), **more) as started:
        assert started.read() == {"ready": True, "pid": started.popen.pid}
        yield started


@contextlib.contextmanager
def worker(bundle: Path, path: Path, package: str = "nbmlops.serving", **more: Any) -> Iterator[Process]:
    with process("-m", f"{package}.worker", "--bundle", str(bundle), "--socket", str(path), **more) as started:
        hello = started.read()
        assert hello["ready"], hello
        assert hello["pid"] == started.popen.pid
        yield started


def config(*arms: dict[str, Any], token: str | None = None, **more: Any) -> dict[str, Any]:
    full = [{"model": "m", "version": arm["name"], **arm} for arm in arms]
    return {"format": 1, "endpoint": "e", "token": token, "arms": full, **more}


class Load:
    """Sends requests from several threads until it is left; keeps every answer."""

    def __init__(self, url: str, body: Any, threads: int = 4) -> None:
        self.answers: list[requests.Response | Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(url, body)) for _ in range(threads)]

    def _run(self, url: str, body: Any) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                try:
                    self.answers.append(session.post(f"{url}/invocations", json=body, timeout=PATIENCE))
                except requests.RequestException as error:
                    self.answers.append(error)

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        target = len(self.answers) + count
        deadline = time.monotonic() + PATIENCE
        while len(self.answers) < target:
            assert time.monotonic() < deadline, "no more answers"
            time.sleep(0.005)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
