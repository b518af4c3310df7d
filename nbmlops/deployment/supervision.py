"""What the supervisor does: brings an endpoint up, watches over it, changes it on demand, ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nbmlops.core.errors import NbmlopsError
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import spec as specs
from nbmlops.deployment.affinity import keep_on_cores
from nbmlops.deployment.child import ChildFailed
from nbmlops.deployment.fleet import Fleet, Ground, resident
from nbmlops.deployment.folder import RunFolder, socket_key, write_json
from nbmlops.deployment.health import Notice
from nbmlops.deployment.record import Recorder

TICK = 2.0  # seconds between looks at memory, idleness and health
HOUR = 3600.0
CONTROL_LIMIT = 4 * 1024 * 1024  # bytes of one control message
STATS_PATIENCE = 0.5  # seconds that a status waits for fresh figures


@dataclass(frozen=True)
class Launch:
    """How a supervisor was started.

    Attributes
    ----------
    folder : RunFolder
    workspace : Workspace or None
        None for a trial: nothing is written into a journal.
    attached : bool
        Whether it ends when its standard input does.
    """

    folder: RunFolder
    workspace: Workspace | None
    attached: bool

    @property
    def home(self) -> Path:
        """What relative bundle paths are relative to."""
        return self.workspace.home if self.workspace else self.folder.path

    @property
    def sockets(self) -> str:
        """Path prefix of this endpoint's sockets."""
        base = self.workspace.sockets if self.workspace else self.folder.path
        return str(base / socket_key(self.folder.path))


class Supervisor:
    """One endpoint's life: `start`, then `serve` until somebody or something ends it."""

    def __init__(self, launch: Launch, listener: socket.socket, log: logging.Logger) -> None:
        self._launch = launch
        self._listener = listener
        self._log = log
        self._recorder = Recorder(launch.workspace, launch.folder.path.name, log)
        ground = Ground(
            folder=launch.folder.path,
            sockets=launch.sockets,
            listener=listener.fileno(),
            token=launch.folder.token.read_text(),
            log=log,
            start_timeout=settings().start_timeout,
        )
        self._fleet = Fleet(ground, self._recorder.tell)
        self._control: asyncio.Server | None = None
        self._control_path = Path(f"{launch.sockets}.c")
        self._requests: dict[tuple[int, str], int] = {}  # by scorer's pid and arm: these go, the count stays
        self._started = time.time()
        self._last_request = time.monotonic()
        self._ending = asyncio.Event()
        self._end: Notice | None = None

    async def start(self) -> dict[str, Any]:
        """Start what the stored specification asks for; returns what the one who waits wants to know."""
        folder = self._launch.folder
        wanted = specs.decode(folder.read(folder.spec), self._launch.home)
        await self._bring_to(wanted)
        self._control_path.unlink(missing_ok=True)
        self._control = await asyncio.start_unix_server(self._answer, self._control_path, limit=CONTROL_LIMIT)
        self._control_path.chmod(0o600)
        folder.state.unlink(missing_ok=True)
        self._remember(control=str(self._control_path))
        return folder.read(folder.state)

    async def serve(self) -> None:
        """Watch over the processes until the end is asked for, then end them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end, None)
        if self._launch.attached:
            loop.add_reader(0, self._read_parent)
        while not self._ending.is_set():
            try:
                await asyncio.wait_for(self._ending.wait(), self._tick())
            except TimeoutError:
                await self._look()

    async def close(self) -> None:
        """Let requests in flight finish, end every process, remove the sockets."""
        if self._end is not None:
            self._remember(ended=self._end.because)
            self._recorder.tell(self._end)
        self._listener.close()
        await self._fleet.stop()
        if self._control is not None:
            self._control.close()
            self._control_path.unlink(missing_ok=True)
        await self._recorder.close()

    def end(self, because: Notice | None) -> None:
        """Ask for the end; `because` is what the journal shall say, None where whoever asks says it."""
        self._end = because
        self._ending.set()

    async def _bring_to(self, wanted: specs.EndpointSpec) -> specs.EndpointSpec:
        keep_on_cores(self._pids(), wanted.resources.cpu, wanted.endpoint)
        return await self._fleet.configure(wanted)

    def _pids(self) -> list[int]:
        return [os.getpid(), *(member.child.pid for member in self._fleet.members.values())]

    def _facts(self) -> dict[str, Any]:
        address, port = self._listener.getsockname()
        me = psutil.Process()
        children = [[member.child.pid, _start_of(member.child.pid)] for member in self._fleet.members.values()]
        return {
            "format": 1,
            "pid": me.pid,
            "started": me.create_time(),
            "port": port,
            "url": f"http://{address}:{port}",
            "children": children,
        }

    def _remember(self, **more: Any) -> None:
        """Keep the stored facts true: whoever finds us dead ends what is left of our children."""
        folder = self._launch.folder
        stored = folder.read(folder.state)
        facts = stored | self._facts() | more
        if facts != stored:
            write_json(folder.state, facts)

    def _tick(self) -> float:
        return min(TICK, self._idle_seconds() / 4)

    def _idle_seconds(self) -> float:
        return self._fleet.spec.idle_hours * HOUR if self._fleet.spec else HOUR

    async def _look(self) -> None:
        """Look once at everything that changes by itself."""
        if not self._launch.folder.spec.exists():
            return self.end(None)  # the workspace was moved or removed: nobody could find us again
        await self._count()
        try:
            self._remember()
        except (NbmlopsError, OSError) as error:  # a full disk is no reason to stop serving
            self._log.error("%s can't be written: %s", self._launch.folder.state, error)
        for notice in self._fleet.health.passed(time.monotonic()):
            self._recorder.tell(notice)
        await self._fleet.watch_memory()
        idle = time.monotonic() - self._last_request
        if idle > self._idle_seconds():
            self.end(Notice("endpoint.stopped", f"no request for {idle / HOUR:.3g} h"))
        return None

    async def _count(self) -> None:
        for post, figures in (await self._fleet.stats()).items():
            self._last_request = max(self._last_request, time.monotonic() - figures["idle_s"])
            member = self._fleet.members.get(post)
            pid = member.child.pid if member else 0
            for arm, of_arm in figures["arms"].items():
                self._requests[pid, arm] = of_arm["requests"]

    def _read_parent(self) -> None:
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            self.end(None)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one control message."""
        with suppress(ConnectionError):
            try:
                answer = {"ok": True, **await self._obey(json.loads(await reader.readline()))}
            except ChildFailed as error:
                answer = refusal(error)
            except (NbmlopsError, ValueError, KeyError, OSError) as error:
                answer = {"ok": False, "code": "refused", "error": str(error), "tail": []}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _obey(self, message: dict[str, Any]) -> dict[str, Any]:
        operation = message["op"]
        if operation == "status":
            return await self._status()
        if operation == "configure":
            await self._change_to(specs.decode(message["spec"], self._launch.home))
            return await self._status()
        if operation == "stop":
            self.end(None)
            return {}
        raise ValueError(f"there is no control operation {operation!r}")

    async def _change_to(self, wanted: specs.EndpointSpec) -> None:
        """Bring the endpoint to `wanted` and store that; where either fails, it and its store are as before."""
        folder, before = self._launch.folder, self._fleet.spec
        assert before is not None
        write_json(folder.spec, specs.encode(wanted, self._launch.home))  # first: it is what a full disk refuses
        try:
            made = await self._bring_to(wanted)
        except BaseException:
            keep_on_cores(self._pids(), before.resources.cpu, before.endpoint)
            write_json(folder.spec, specs.encode(before, self._launch.home))
            raise
        if made != wanted:
            write_json(folder.spec, specs.encode(made, self._launch.home))
        self._remember()
        self._last_request = time.monotonic()

    async def _status(self) -> dict[str, Any]:
        await asyncio.wait({asyncio.create_task(self._count())}, timeout=STATS_PATIENCE)
        fleet = self._fleet
        members = {post: member for post, member in fleet.members.items() if member.child.running}
        assert fleet.spec is not None
        return {
            **self._facts(),
            "health": fleet.health.level(serving=fleet.serving()),
            "because": fleet.health.story(),
            "spec": specs.encode(fleet.spec, self._launch.home),
            "processes": [
                {"name": post.name, "pid": member.child.pid, "rss": resident(member.child.pid)}
                for post, member in sorted(members.items())
            ],
            "rss": sum(resident(member.child.pid) for member in members.values()) + resident(os.getpid()),
            "uptime_s": time.time() - self._started,
            "idle_s": time.monotonic() - self._last_request,
            "requests": sum(self._requests.values()),
        }


def refusal(error: ChildFailed) -> dict[str, Any]:
    """Return a child's failure as the answer to whoever waits."""
    return {"ok": False, "code": error.code, "error": str(error), "tail": list(error.tail)}


def _start_of(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
