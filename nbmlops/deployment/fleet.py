"""The scorers and workers of one endpoint: started, swapped without a lost request, brought back when they die."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from nbmlops.core.errors import NbmlopsError
from nbmlops.deployment import processes
from nbmlops.deployment.child import GRACE, Child, ChildFailed
from nbmlops.deployment.environments import STRAIN, check_installed, served_in, strains
from nbmlops.deployment.handover import Access, Places, configuration
from nbmlops.deployment.health import Health, Notice
from nbmlops.deployment.processes import Post
from nbmlops.deployment.spec import EndpointSpec

MIB = 1024 * 1024
RETIRING_PAUSE = 0.05  # seconds between looks at whether swapped out arms are done


@dataclass(frozen=True)
class Ground:
    """What the processes stand on, fixed for the supervisor's life.

    Attributes
    ----------
    folder : pathlib.Path
        The endpoint's own folder, their working directory.
    sockets : str
        Path prefix of the workers' sockets.
    listener : int
        Descriptor of the listening socket.
    places : Places
        Where scorers leave things.
    log : logging.Logger
    start_timeout : float, seconds
    """

    folder: Path
    sockets: str
    listener: int
    places: Places
    log: logging.Logger
    start_timeout: float


@dataclass(frozen=True)
class Member:
    """A running process at its post; a worker has the socket that it serves on."""

    child: Child
    socket: Path | None = None
    resting: int = 0  # bytes resident when it became ready


Members = dict[Post, Member]


def resident(pid: int) -> int:
    """Return the resident memory of a process, bytes; 0 where it is gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


class Fleet:
    """The processes of one endpoint.

    Parameters
    ----------
    ground : Ground
    tell : callable
        Takes each `Notice` that belongs into the journal.
    access : Access
        The tokens that the scorers take.
    """

    def __init__(self, ground: Ground, tell: Callable[[Notice], None], access: Access) -> None:
        self.spec: EndpointSpec | None = None
        self.access = access
        self.health = Health()
        self.members: Members = {}
        self._ground = ground
        self._tell = tell
        self._counter = 0
        self._change = asyncio.Lock()
        self._watchers: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    async def configure(self, spec: EndpointSpec, *, checked: bool = True) -> EndpointSpec:
        """Bring the endpoint to `spec`: start what is missing, swap, then let go what is no longer needed.

        Parameters
        ----------
        checked : bool, default True
            Refuse new models in another environment than their own; False brings back what was served before.

        Returns
        -------
        EndpointSpec
            What it is now: `spec` without those arms that were kept for a rollback alone and have just failed.

        Raises
        ------
        ChildFailed
            When a process of the new arms fails; the old arms go on as before.
        """
        async with self._change:
            spec = self._without_failed(spec)
            wanted = processes.posts(spec)
            fresh = await self._start([post for post in wanted if not self._runs(post)], spec)
            try:
                if checked:
                    await self._check_environments(spec, fresh)
                await self._swap(spec, fresh)
            except BaseException:
                await self._let_go(fresh)
                raise
            self.spec = spec
            gone = {post: self.members.pop(post) for post in list(self.members) if post not in wanted}
            self._enlist(fresh)
        for post in gone:
            self.health.forget(post.name)
        for notice in self.health.passed(time.monotonic()):  # what was unhealthy may have been let go
            self._tell(notice)
        _spawn(self._let_go(gone), self._leaving)
        return spec

    async def give(self, access: Access) -> None:
        """Let the scorers take other tokens from here on.

        Raises
        ------
        ChildFailed
            When a scorer refuses; all of them take the tokens of before then.
        """
        async with self._change:
            before, self.access = self.access, access
            try:
                if self.spec is not None:
                    await self._swap(self.spec, {})
            except BaseException:
                self.access = before
                if self.spec is not None:
                    with suppress(ChildFailed):
                        await self._swap(self.spec, {})
                raise

    async def replace(self, post: Post, because: str) -> None:
        """Put a new process in the place of one that serves, and let that one finish."""
        async with self._change:
            old = self.members.get(post)
            if self.spec is None or old is None or not old.child.running:
                return
            try:
                await self._fill(post, self.spec)
            except ChildFailed as error:
                self._ground.log.warning("%s; its replacement failed: %s", because, error)
                return
        self._tell(Notice("endpoint.restarted", because))
        _spawn(self._let_go({post: old}), self._leaving)

    async def watch_memory(self) -> None:
        """Replace every process whose resident memory passed the soft limit; one that needs more at rest is told of."""
        limit = self.spec.resources.memory_mib if self.spec else None
        for post, member in list(self.members.items()):
            used = resident(member.child.pid) / MIB
            self.health.strained.pop(post.name, None)
            if limit is None or used <= limit or not member.child.running:
                continue
            if member.resting / MIB > limit:  # a new process would be no smaller
                rest = f"{member.resting / MIB:.0f} MiB at rest"
                self.health.strained[post.name] = f"{post.name} takes {rest}, over the memory limit of {limit} MiB"
            else:
                await self.replace(post, f"{post.name} held {used:.0f} MiB, over the memory limit of {limit} MiB")

    async def stats(self) -> dict[Post, dict[str, Any]]:
        """Return each serving scorer's own figures; a scorer that stays silent is ended, and so brought back."""
        patience = GRACE + (self.spec.limits.timeout_s if self.spec else 0.0)
        asked = {post: member for post, member in self.members.items() if post.is_scorer and member.child.running}
        answers = await asyncio.gather(
            *(member.child.ask({"op": "stats"}, patience) for member in asked.values()), return_exceptions=True
        )
        found: dict[Post, dict[str, Any]] = {}
        for post, answer in zip(asked, answers, strict=True):
            if isinstance(answer, dict):
                found[post] = answer["stats"] | {"pid": asked[post].child.pid}
            elif not isinstance(answer, ChildFailed):
                raise answer
        self.health.strained = {
            what: why for what, why in self.health.strained.items() if not what.startswith(STRAIN)
        } | (strains(self.spec, served_in(found)) if self.spec else {})
        return found

    async def _check_environments(self, spec: EndpointSpec, fresh: Members) -> None:
        """Ask the processes of new models what is installed there, before any of them gets traffic."""
        served = {model.digest for arm in (self.spec.arms if self.spec else ()) for model in arm.models.values()}
        scorer = next(member for post, member in (self.members | fresh).items() if post == Post(0))
        for arm in spec.arms:
            for name, model in arm.models.items():
                if arm.any_environment or model.digest in served:
                    continue
                worker = fresh.get(Post(0, name, model.digest))
                if worker is not None:
                    check_installed(model, worker.child.ready.get("installed"))
                elif not processes.needs_worker(model):
                    order = {"op": "installed", "bundle": str(model.bundle)}
                    answer = await scorer.child.ask(order, self._ground.start_timeout)
                    check_installed(model, answer["installed"])

    def serving(self) -> bool:
        """Whether some scorer runs and every arm with traffic has what it needs."""
        if self.spec is None:
            return False
        weighted = [arm for arm in self.spec.arms if arm.weight > 0]
        slots = [post.slot for post in self.members if post.is_scorer and self._runs(post)]
        return any(all(map(self._runs, processes.all_workers(weighted, slot))) for slot in slots)

    async def stop(self) -> None:
        """Let requests in flight finish, then end every process."""
        async with self._change:
            leaving, self.members = self.members, {}
        await self._let_go({post: member for post, member in leaving.items() if post.is_scorer})
        await self._let_go({post: member for post, member in leaving.items() if not post.is_scorer})
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, *self._leaving, return_exceptions=True)

    def _without_failed(self, spec: EndpointSpec) -> EndpointSpec:
        """Leave out arms without traffic whose worker is down: going back must not wait for what one goes back from."""
        down = {(post.version, post.digest) for post in self.members if not post.is_scorer and not self._runs(post)}
        kept = [
            arm
            for arm in spec.arms
            if arm.weight > 0 or not down & {(name, model.digest) for name, model in arm.models.items()}
        ]
        return replace(spec, arms=tuple(kept))

    def _runs(self, post: Post) -> bool:
        member = self.members.get(post)
        return member is not None and member.child.running

    async def _start(self, wanted: Iterable[Post], spec: EndpointSpec) -> Members:
        """Start a process for each of `wanted`; when one fails, none of them stays."""
        wanted = list(wanted)
        results = await asyncio.gather(*(self._start_one(post, spec) for post in wanted), return_exceptions=True)
        started = {post: made for post, made in zip(wanted, results, strict=True) if isinstance(made, Member)}
        for failure in results:
            if isinstance(failure, BaseException):
                await self._let_go(started)
                raise failure
        return started

    async def _start_one(self, post: Post, spec: EndpointSpec) -> Member:
        ground = self._ground
        socket = None
        try:
            if post.is_scorer:
                command = processes.scorer_command(post, ground.folder, ground.listener)
            else:
                socket = self._socket_at(post)
                model = processes.model_at(post, spec)
                command = processes.worker_command(post, model, folder=ground.folder, socket=socket)
            child = await Child.start(command, ground.log, ground.start_timeout)
        except (NbmlopsError, OSError) as error:  # no such bundle, no process or descriptor left
            raise ChildFailed(f"{post.name}: {error}") from error
        return Member(child, socket, resident(child.pid))

    def _socket_at(self, post: Post) -> Path:
        """Return a dead worker's own socket, where its scorer sends once more what was under way; else a new one."""
        before = self.members.get(post)
        if before is not None and before.socket is not None and not before.child.running:
            return before.socket
        self._counter += 1
        return Path(f"{self._ground.sockets}-{self._counter}.s")

    async def _swap(self, spec: EndpointSpec, fresh: Members) -> None:
        """Configure every scorer for `spec`; when one refuses, those before it go back to the old arms."""
        after = self.members | fresh
        swapped: list[Post] = []
        try:
            for post in (post for post in processes.posts(spec) if post.is_scorer):
                await self._configure(post, spec, after)
                swapped.append(post)
        except BaseException:
            for post in swapped:
                if self.spec is not None and post not in fresh:
                    with suppress(ChildFailed):
                        await self._configure(post, self.spec, self.members)
            raise

    async def _configure(self, post: Post, spec: EndpointSpec, members: Members) -> None:
        sockets = {other: str(member.socket) for other, member in members.items() if member.socket is not None}
        config = configuration(spec, post.slot, sockets=sockets, access=self.access, places=self._ground.places)
        await members[post].child.ask({"op": "configure", "config": config}, self._ground.start_timeout)

    async def _fill(self, post: Post, spec: EndpointSpec) -> None:
        """Start a process at `post` and make its scorer use it."""
        fresh = await self._start([post], spec)
        scorer = Post(post.slot)
        try:
            if post.is_scorer or self._runs(scorer):
                await self._configure(scorer, spec, self.members | fresh)
        except BaseException:
            await self._let_go(fresh)
            raise
        if post in self.members:
            self.members[post].child.retired = True
        self._enlist(fresh)

    def _enlist(self, fresh: Members) -> None:
        for post, member in fresh.items():
            self.members[post] = member
            for notice in self.health.started(post.name, time.monotonic()):
                self._tell(notice)
            _spawn(self._watch(post, member), self._watchers)

    async def _watch(self, post: Post, member: Member) -> None:
        """Wait for the end of a process and, where it was an accident, bring it back."""
        because = await member.child.wait()
        if member.child.retired:
            return
        self._ground.log.warning(because)
        self._note_failure(post, because)
        while post in self.members:
            await asyncio.sleep(self.health.delay(post.name))
            async with self._change:
                if self.spec is None or post not in self.members or self._runs(post):
                    return
                try:
                    await self._fill(post, self.spec)
                except ChildFailed as error:
                    self._note_failure(post, str(error))
                else:
                    return

    def _note_failure(self, post: Post, because: str) -> None:
        for notice in self.health.failed(post.name, because):
            self._tell(notice)

    async def _let_go(self, leaving: Members) -> None:
        """Let processes finish what is in flight, end them and remove their sockets."""
        for member in leaving.values():
            member.child.retired = True
        if any(not post.is_scorer for post in leaving):
            await self._retire_arms()
        grace = GRACE + (self.spec.limits.timeout_s if self.spec else 0.0)
        await asyncio.gather(*(member.child.stop(grace) for member in leaving.values()))
        for member in leaving.values():
            if member.socket is not None:
                member.socket.unlink(missing_ok=True)

    async def _retire_arms(self) -> None:
        """Wait until no scorer has requests in flight on arms that were swapped out: these still need their workers."""
        deadline = time.monotonic() + GRACE + (self.spec.limits.timeout_s if self.spec else 0.0)
        while time.monotonic() < deadline:
            if not any(figures["retiring"] for figures in (await self.stats()).values()):
                return
            await asyncio.sleep(RETIRING_PAUSE)


def _spawn(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
