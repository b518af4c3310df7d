"""What the supervisor does: brings an endpoint up, watches over it, changes it on demand, ends it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nbmlops.core.errors import NbmlopsError
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import storing
from nbmlops.deployment.affinity import keep_on_cores
from nbmlops.deployment.capturing import Capturing
from nbmlops.deployment.child import ChildFailed
from nbmlops.deployment.compacting import Compacting
from nbmlops.deployment.control import Changed, Control
from nbmlops.deployment.environments import served_in
from nbmlops.deployment.fleet import Fleet, Ground, resident
from nbmlops.deployment.folder import RunFolder, socket_key, write_json
from nbmlops.deployment.handover import Places
from nbmlops.deployment.health import Notice
from nbmlops.deployment.record import Recorder
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.deployment.storing import Stored
from nbmlops.deployment.tokens import Keeping, Tokens
from nbmlops.deployment.watching import PERIOD, Figures, Watch

TICK = 2.0  # seconds between looks at memory, idleness and health
HOUR = 3600.0
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
    checked : bool
        Whether models in another environment than their own are refused.
    """

    folder: RunFolder
    workspace: Workspace | None
    attached: bool
    checked: bool = False

    @property
    def home(self) -> Path:
        """What relative bundle paths are relative to."""
        return self.workspace.home if self.workspace else self.folder.path

    @property
    def sockets(self) -> str:
        """Path prefix of this endpoint's sockets."""
        base = self.workspace.sockets if self.workspace else self.folder.path
        return str(base / socket_key(self.folder.path))

    @property
    def places(self) -> Places:
        """Where the scorers leave things."""
        collected = self.workspace.collected if self.workspace else self.folder.path / "collected"
        return Places(self.folder.errors, self.folder.counts, collected / self.folder.path.name)


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
            places=launch.places,
            log=log,
            start_timeout=settings().start_timeout,
        )
        self._keeping = Keeping(Tokens.read(launch.folder).kept(time.time()), time.time(), time.monotonic())
        self._fleet = Fleet(ground, self._recorder.tell, self._keeping.tokens.access)
        self._watch = Watch(self._move, self._recorder.tell)
        self._capturing = Capturing()
        self._compacting = Compacting(launch.workspace, launch.folder.path.name, log)
        self._comparisons: dict[int, dict[str, Any]] = {}  # of each scorer, gone ones too: by shadow
        self._environments: dict[str, dict[str, Any]] = {}  # by version, as the scorers said last
        self._changing = asyncio.Lock()
        self._stored: Stored | None = None
        self._is_stored = True  # on the disk, too
        self._looked = 0.0
        orders = {
            "status": self._status,
            "configure": self._configure,
            "rotate": self._rotate,
            "stop": self._stop,
        }
        self._control = Control(Path(f"{launch.sockets}.c"), orders)
        self._requests: dict[tuple[int, str], int] = {}  # by scorer's pid and arm: these go, the count stays
        self._started = time.time()
        self._last_request = time.monotonic()
        self._ending = asyncio.Event()
        self._end: Notice | None = None

    async def start(self) -> dict[str, Any]:
        """Start what the stored specification asks for; returns what the one who waits wants to know."""
        folder = self._launch.folder
        stored = storing.from_file(folder.read(folder.spec), self._launch.home)
        await self._bring_to(stored.spec, checked=self._launch.checked)
        self._follow(stored)
        await self._control.open()
        folder.state.unlink(missing_ok=True)
        self._remember(control=str(self._control.path))
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
        await self._compacting.close()
        self._control.close()
        await self._recorder.close()

    def end(self, because: Notice | None) -> None:
        """Ask for the end; `because` is what the journal shall say, None where whoever asks says it."""
        self._end = because
        self._ending.set()

    async def _bring_to(self, wanted: EndpointSpec, *, checked: bool = True) -> EndpointSpec:
        keep_on_cores(self._pids(), wanted.resources.cpu, wanted.endpoint)
        return await self._fleet.configure(wanted, checked=checked)

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
        end = self._keeping.next_end()
        until = TICK if end is None else max(0.0, end - time.monotonic())
        return min(PERIOD if self._watch.is_active else TICK, self._idle_seconds() / 4, until)

    def _idle_seconds(self) -> float:
        return self._fleet.spec.idle_hours * HOUR if self._fleet.spec else HOUR

    async def _look(self) -> None:
        """Look once at everything that changes by itself."""
        if not self._launch.folder.spec.exists():
            return self.end(None)  # the workspace was moved or removed: nobody could find us again
        await self._steer(await self._count())
        if self._keeping.drop(time.monotonic()):
            await self._drop_tokens()
        if time.monotonic() - self._looked < min(TICK, self._idle_seconds() / 4):
            return None
        self._looked = time.monotonic()
        self._save()
        for notice in self._fleet.health.passed(time.monotonic()):
            self._recorder.tell(notice)
        await self._fleet.watch_memory()
        await self._compacting.look(time.monotonic())
        idle = time.monotonic() - self._last_request
        if self._fleet.spec is not None and has_idled(self._fleet.spec, idle):
            self.end(Notice("endpoint.stopped", f"no request for {idle / HOUR:.3g} h"))
        return None

    async def _count(self) -> Figures:
        """Ask the scorers for their figures, and add what only ever grows to that of those that are gone."""
        found = await self._fleet.stats()
        self._environments = served_in(found) or self._environments
        for figures in found.values():
            pid = figures["pid"]
            self._last_request = max(self._last_request, time.monotonic() - figures["idle_s"])
            for arm, of_arm in figures["arms"].items():
                self._requests[pid, arm] = of_arm["requests"]
            self._comparisons[pid] = figures.get("comparisons", {})
        for notice in self._capturing.take(found):
            self._recorder.tell(notice)
        return found

    async def _steer(self, figures: Figures) -> None:
        """Let the rollout go back or go on; what hinders it now is tried again at the next look."""
        try:
            await self._watch.look(figures)
        except (Changed, ChildFailed, NbmlopsError, OSError, ValueError, TypeError, KeyError) as error:
            self._log.error("the rollout can't be watched over: %s: %s", type(error).__name__, error)

    async def _drop_tokens(self) -> None:
        """Take tokens no longer whose grace is over."""
        try:
            async with self._changing:
                await self._fleet.give(self._keeping.tokens.access)
                self._keeping.tokens.write(self._launch.folder)
        except (ChildFailed, OSError) as error:  # those that restart read what is kept now
            self._log.error("an earlier token could not be dropped: %s", error)

    async def _rotate(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make a new token; the one before it is taken for ``grace_s`` seconds more."""
        grace_s = float(message["grace_s"])
        async with self._changing:
            before = self._keeping.tokens
            tokens = before.rotated(grace_s, time.time())
            await self._fleet.give(tokens.access)  # first: whoever reads the new one may use it at once
            try:
                tokens.write(self._launch.folder)
            except BaseException:
                await self._fleet.give(before.access)
                raise
            self._keeping = Keeping(tokens, time.time(), time.monotonic())
        return {}

    def _read_parent(self) -> None:
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            self.end(None)

    async def _configure(self, message: dict[str, Any]) -> dict[str, Any]:
        await self._change_to(storing.decode(message["spec"], self._launch.home), message.get("revision"))
        return await self._status(message)

    async def _stop(self, message: dict[str, Any]) -> dict[str, Any]:
        self.end(None)
        return {}

    async def _change_to(self, wanted: EndpointSpec, revision: int | None) -> Stored:
        """Bring the endpoint to `wanted` and store that; where either fails, it and its store are as before.

        Raises
        ------
        Changed
            It is no longer what it was when whoever asks read it, at `revision`.
        """
        async with self._changing:
            before = self._now(revision)
            after = before.followed_by(wanted, time.time())
            self._store(after)  # first: it is what a full disk refuses
            try:
                made = await self._bring_to(wanted)
            except BaseException:
                keep_on_cores(self._pids(), before.spec.resources.cpu, before.spec.endpoint)
                self._store(before)
                raise
            if made != wanted:
                after = dataclasses.replace(after, spec=made)
                self._store(after)
            self._is_stored = True
            self._follow(after)
            self._remember()
            self._last_request = time.monotonic()
            return after

    async def _move(self, wanted: EndpointSpec, revision: int) -> Stored:
        """Change the split by ourselves: it is changed even where that can't be stored yet."""
        async with self._changing:
            before = self._now(revision)
            after = dataclasses.replace(before.followed_by(wanted, time.time()), spec=await self._bring_to(wanted))
            self._follow(after)
            self._is_stored = False
            self._save()
            return after

    def _save(self) -> None:
        """Keep what is stored true; a full disk is no reason to stop serving, and it is tried again."""
        try:
            if not self._is_stored and self._stored is not None:
                self._store(self._stored)
            self._is_stored = True
            self._remember()
        except (NbmlopsError, OSError) as error:
            self._log.error("%s can't be written: %s", self._launch.folder.path, error)

    def _now(self, revision: int | None) -> Stored:
        """Return what is stored now, or raise `Changed` where that is not what somebody saw at `revision`."""
        assert self._stored is not None
        if revision is not None and revision != self._stored.revision:
            raise Changed(f"it is at revision {self._stored.revision}, not {revision}")
        return self._stored

    def _store(self, stored: Stored) -> None:
        folder = self._launch.folder
        write_json(folder.spec, storing.to_file(stored, self._launch.home))

    def _follow(self, stored: Stored) -> None:
        self._stored = stored
        self._watch.follow(stored)

    async def _status(self, message: dict[str, Any]) -> dict[str, Any]:
        await asyncio.wait({asyncio.create_task(self._count())}, timeout=STATS_PATIENCE)
        fleet = self._fleet
        members = {post: member for post, member in fleet.members.items() if member.child.running}
        stored = self._stored
        assert stored is not None
        return {
            **self._facts(),
            "health": fleet.health.level(serving=fleet.serving()),
            "because": fleet.health.story(),
            "spec": storing.encode(stored.spec, self._launch.home),
            "revision": stored.revision,
            "since": stored.since,
            "rollout": self._watch.state(),
            "capture": self._capturing.state(),
            "environments": self._environments,
            "comparisons": [
                {"shadow": shadow, "counts": counts}
                for of_one in self._comparisons.values()
                for shadow, counts in of_one.items()
            ],
            "processes": [
                {"name": post.name, "pid": member.child.pid, "rss": resident(member.child.pid)}
                for post, member in sorted(members.items())
            ],
            "rss": sum(resident(member.child.pid) for member in members.values()) + resident(os.getpid()),
            "uptime_s": time.time() - self._started,
            "idle_s": time.monotonic() - self._last_request,
            "requests": sum(self._requests.values()),
        }


def has_idled(spec: EndpointSpec, seconds: float) -> bool:
    """Whether an endpoint that nobody called for some time ends by itself; one that a rollout holds open does not."""
    return seconds > spec.idle_hours * HOUR and spec.progressive is None


def _start_of(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0
