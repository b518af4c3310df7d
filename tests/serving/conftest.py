"""Bundles that tests share, and a caller that drives the application without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nbmlops.serving.application import Application
from nbmlops.serving.asgi import Asgi
from nbmlops.serving.control import Control

from . import bundles


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    @property
    def predictions(self) -> Any:
        assert self.status == 200, self.body
        return self.json["predictions"]


@dataclass
class Served:
    """An application on an event loop of its own; requests go straight into it."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self.application = Application()
        self.control = Control(self.application)

    def configure(self, *arms: tuple[str, Path, float], token: str | None = None, **more: Any) -> dict[str, Any]:
        entries = [
            {"name": name, "model": "flights", "version": name, "bundle": str(path), "weight": weight}
            for name, path, weight in arms
        ]
        document = {"format": 1, "endpoint": "flights", "token": token, "arms": entries, **more}
        return self.run(self.control.configure(document))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def wait(self, condition: Callable[[], bool], patience: float = 20.0) -> None:
        """Let the loop run until `condition` holds."""

        async def until() -> None:
            async with asyncio.timeout(patience):
                while not condition():
                    await asyncio.sleep(0.002)

        self.run(until())

    def post(self, body: Any, content_type: str | None = "application/json", **headers: str) -> Answer:
        return self.run(self.request("POST", "/invocations", body, content_type, headers))

    def get(self, path: str, **headers: str) -> Answer:
        return self.run(self.request("GET", path, b"", None, headers))

    async def request(
        self, method: str, path: str, body: Any = b"", content_type: str | None = None, headers: Any = ()
    ) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {
            "content-length": str(len(content)),
            **{name.replace("_", "-"): v for name, v in dict(headers).items()},
        }
        if content_type is not None:
            given["content-type"] = content_type
        return await self.exchange(method, path, given, [content])

    async def exchange(self, method: str, path: str, headers: dict[str, str], chunks: list[bytes | None]) -> Answer:
        """Send a body in chunks; None stands for a caller that goes away, an empty list for one that hangs."""
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()],
        }
        waiting = list(chunks)
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not waiting:
                await asyncio.Event().wait()
            chunk = waiting.pop(0)
            if chunk is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting) or not chunks[-1:]}

        async def send(message: Any) -> None:
            sent.append(message)

        await Asgi(self.application)(scope, receive, send)
        if not sent:
            return Answer(0, {}, b"")
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(message["body"] for message in sent[1:]))

    def close(self) -> None:
        self.run(self.control.close())
        self.loop.close()


@pytest.fixture
def served() -> Iterator[Served]:
    server = Served()
    yield server
    server.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a bundle by name; each is made once."""
    root = tmp_path_factory.mktemp("bundles")
    makers = {
        "onnx": lambda: bundles.onnx_bundle(root / "onnx"),
        "skops": lambda: bundles.sklearn_bundle(root / "skops"),
        "cloudpickle": lambda: bundles.sklearn_bundle(root / "cloudpickle", serialization="cloudpickle"),
        "mixed": lambda: bundles.mixed_bundle(root / "mixed"),
        "generic": lambda: bundles.sklearn_bundle(
            root / "generic", bundles.Counts(), {"inputs": None, "task": "other"}, "cloudpickle"
        ),
        "ten": lambda: bundles.constant_bundle(root / "ten", 10.0),
        "twenty": lambda: bundles.constant_bundle(root / "twenty", 20.0),
        "tensor": lambda: bundles.constant_bundle(
            root / "tensor", 0.0, {"tensor": {"dtype": "float64", "shape": [-1, 2]}}
        ),
    }
    done: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in done:
            done[name] = makers[name]()
        return done[name]

    return get
