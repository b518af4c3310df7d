"""The local target: one supervisor for each endpoint, known to every kernel through its folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from nbmlops.core.errors import Corrupt, EndpointError, NbmlopsError, NotFound, Refused
from nbmlops.core.references import check_name
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import launch
from nbmlops.deployment.affinity import check_cores
from nbmlops.deployment.folder import RunFolder, write_json
from nbmlops.deployment.plan import LOCK, DeploymentPlan, make_plan, stale
from nbmlops.deployment.processes import lock_text, manifest
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.deployment.storing import Stored, decode, encode, from_file, to_file
from nbmlops.deployment.target import EndpointStatus, unknown
from nbmlops.deployment.tokens import Tokens
from nbmlops.journal import Journal
from nbmlops.packaging import verify

ANSWER = 5.0  # seconds that a living supervisor may take to say how it is
STOPPING = 60.0  # seconds that the requests in flight may take to finish before it is ended by force
LAST_ANSWERS = 2.0  # seconds in which processes whose supervisor died may finish, and commit what they captured
SAME_START = 2.0  # seconds; a process's start is computed from the boot time, which moves when the clock is set


class LocalTarget:
    """Endpoints on this machine, for this user.

    Parameters
    ----------
    workspace : Workspace
    journal : Journal, optional
        Told of restarts.
    """

    name = "local"

    def __init__(self, workspace: Workspace, journal: Journal | None = None) -> None:
        self._workspace = workspace
        self._journal = journal

    def spec(self, name: str) -> EndpointSpec | None:
        """Return the endpoint as it was last applied, None where there is none."""
        stored = self._stored(self._folder(name))
        return stored.spec if stored else None

    def plan(self, spec: EndpointSpec) -> DeploymentPlan:
        """Return what applying `spec` would change; changes nothing.

        Raises
        ------
        InvalidInput
            More cores are asked for than this machine has.
        """
        check_cores(spec.resources.cpu)
        return self._planned(self.spec(spec.endpoint), spec)

    def _planned(self, current: EndpointSpec | None, wanted: EndpointSpec) -> DeploymentPlan:
        bundles = {arm.digest: arm.bundle for one in (current, wanted) if one for arm in one.arms}
        manifests = {}
        for digest, bundle in bundles.items():
            with suppress(Corrupt):  # a plan can be shown without it; applying checks every file
                manifests[digest] = manifest(bundle) | {LOCK: lock_text(bundle)}
        running = self._folder(wanted.endpoint).alive()
        return make_plan(self.name, current, wanted, manifests=manifests, running=running)

    def apply(self, plan: DeploymentPlan) -> EndpointStatus:
        """Carry out `plan` and return when the endpoint answers.

        Raises
        ------
        Refused
            The endpoint is no longer as it was planned from.
        Corrupt
            A bundle's files are not those that were packaged.
        EndpointError
            It could not be brought up; what served before serves on.
        """
        spec, folder = plan.spec, self._folder(plan.spec.endpoint)
        with self._exclusive(folder):
            stored = self._stored(folder)
            current = stored.spec if stored else None
            now = self._planned(current, spec)
            if now.digest != plan.digest:
                raise stale(plan, now)
            known = _bundles(current) if current and folder.alive() else {}
            for digest, bundle in _bundles(spec).items():
                if digest not in known:
                    verify(bundle)
            if stored and folder.alive():
                self._reconfigure(folder, spec, stored.revision)
            else:
                self._start(folder, spec, stored)
        return self.status(spec.endpoint)

    def status(self, name: str) -> EndpointStatus:
        """Return how an endpoint is now; one whose supervisor died is ``down``."""
        folder = self._existing(name)
        spec = self.spec(name)
        arms = spec.arms if spec else ()
        state = folder.read(folder.state)
        url = str(state.get("url", ""))
        if not folder.alive():
            return EndpointStatus(name, url, "down", because=_last_words(state), arms=arms)
        try:
            now = launch.ask(Path(state["control"]), {"op": "status"}, ANSWER)
        except (EndpointError, KeyError) as error:
            return EndpointStatus(name, url, "down", because=f"its supervisor does not answer ({error})", arms=arms)
        return EndpointStatus(
            name=name,
            url=now["url"],
            health=now["health"],
            because=now["because"],
            arms=decode(now["spec"], self._workspace.home).arms,
            pid=now["pid"],
            pids=tuple(process["pid"] for process in now["processes"]),
            rss=now["rss"],
            uptime_s=now["uptime_s"],
            requests=now["requests"],
            revision=now["revision"],
            since=now["since"],
            rollout=now["rollout"],
            capture=now["capture"],
            comparisons=tuple(now["comparisons"]),
            environments=now.get("environments", {}),  # a supervisor that runs since an earlier nbmlops has none
        )

    def statuses(self) -> tuple[EndpointStatus, ...]:
        """Return every endpoint's status, by name."""
        found = []
        for name in self.names():
            with suppress(NotFound):  # deleted by another kernel meanwhile
                found.append(self.status(name))
        return tuple(found)

    def names(self) -> tuple[str, ...]:
        """Return the names of the endpoints that exist here, running or not."""
        try:
            return tuple(sorted(path.parent.name for path in self._workspace.run.glob("*/spec.json")))
        except FileNotFoundError:
            return ()

    def logs(self, name: str, lines: int = 50) -> str:
        """Return the last lines of its log, and of its supervisor's errors where there are any."""
        return "\n".join(self._existing(name).last_lines(lines))

    def restart(self, name: str) -> EndpointStatus:
        """Bring an endpoint back as it was, on the same port; a living one is ended first.

        Raises
        ------
        EndpointError
            It does not start, or its port was taken meanwhile.
        """
        folder = self._existing(name)
        with self._exclusive(folder):
            was_alive = folder.alive()
            self._end(folder)
            self._launch(folder)
        if self._journal is not None:
            because = "restarted by hand" if was_alive else "its supervisor had ended"
            self._journal.append("endpoint.restarted", f"endpoint/{name}", {"endpoint": name, "because": because})
        return self.status(name)

    def delete(self, name: str) -> None:
        """End the endpoint and remove its folder; requests in flight are answered first."""
        folder = self._existing(name)
        with self._exclusive(folder):
            self._end(folder)
            shutil.rmtree(folder.path)

    def token(self, name: str) -> str:
        """Return the bearer token, empty where it needs none."""
        spec = self.spec(self._existing(name).path.name)
        return self.token_file(name).read_text() if spec and spec.auth else ""

    def token_file(self, name: str) -> Path:
        """Return the file, of mode 0600, that holds the token."""
        return self._existing(name).token

    def errors_folder(self, name: str) -> Path:
        """Return the folder of the requests that it failed on."""
        return self._existing(name).errors

    def rotate_token(self, name: str, grace_s: float) -> None:
        """Put a new token into the token file; the one before it is taken for `grace_s` seconds more."""
        folder = self._existing(name)
        with self._exclusive(folder):
            if folder.alive():
                state = folder.read(folder.state)
                launch.ask(
                    Path(state.get("control", "")), {"op": "rotate", "grace_s": grace_s}, settings().start_timeout
                )
            else:
                Tokens.read(folder).rotated(grace_s, time.time()).write(folder)

    def _folder(self, name: str) -> RunFolder:
        return RunFolder(self._workspace.run / check_name(name, "endpoint name"))

    def _existing(self, name: str) -> RunFolder:
        folder = self._folder(name)
        if not folder.spec.exists():
            raise unknown(name, self.names())
        return folder

    @contextmanager
    def _exclusive(self, folder: RunFolder) -> Iterator[None]:
        """Hold the endpoint against every other kernel that wants to change it."""
        self._workspace.open()
        patience = settings().start_timeout * launch.STEPS
        try:
            with FileLock(self._workspace.run / f".{folder.path.name}.lock", timeout=patience):
                yield
        except Timeout as error:
            raise EndpointError(
                f"another process has been changing endpoint {folder.path.name!r} for {patience:g} s",
                hint="Wait for it, or end it, then run this again.",
            ) from error

    def _stored(self, folder: RunFolder) -> Stored | None:
        data = folder.read(folder.spec)
        return from_file(data, self._workspace.home) if data else None

    def _reconfigure(self, folder: RunFolder, spec: EndpointSpec, revision: int) -> None:
        state = folder.read(folder.state)
        port = state.get("port")
        if spec.port is not None and spec.port != port:
            raise Refused(
                f"endpoint {spec.endpoint!r} listens on port {port} and can't move to {spec.port} while it runs",
                hint=f"Leave the port out, or take the endpoint down first: %undeploy {spec.endpoint}",
            )
        message = {"op": "configure", "spec": encode(spec, self._workspace.home), "revision": revision}
        try:
            launch.ask(Path(state.get("control", "")), message, settings().start_timeout * launch.STEPS)
        except launch.ChangedMeanwhile as error:  # by its supervisor, which takes no lock
            raise _changed(spec.endpoint) from error

    def _start(self, folder: RunFolder, spec: EndpointSpec, stored: Stored | None) -> None:
        """Start a supervisor for `spec`; where that fails, everything is as it was."""
        after = stored.followed_by(spec, time.time()) if stored else Stored(spec, 1, time.time())
        before = folder.read(folder.spec)
        folder.create()
        write_json(folder.spec, to_file(after, self._workspace.home))
        try:
            self._end(folder)  # what a killed supervisor may have left
            self._launch(folder, checked=True)
        except BaseException:
            if before:
                write_json(folder.spec, before)
            else:
                shutil.rmtree(folder.path)
            raise

    def _launch(self, folder: RunFolder, *, checked: bool = False) -> None:
        launch.launch(folder, self._workspace, checked=checked)

    def _end(self, folder: RunFolder) -> None:
        """End a supervisor, gracefully if it lives, and whatever a dead one left."""
        state: dict[str, Any] = {}
        with suppress(NbmlopsError):
            state = folder.read(folder.state)
        if folder.alive():
            with suppress(EndpointError, KeyError):
                launch.ask(Path(state["control"]), {"op": "stop"}, ANSWER)
            supervisor = _process(state.get("pid"), state.get("started"))
            if supervisor is not None:
                _gone([supervisor], STOPPING)
        children = [_process(pid, started) for pid, started in state.get("children", [])]
        _gone([child for child in children if child is not None], LAST_ANSWERS)
        if control := state.get("control"):
            for left in Path(control).parent.glob(f"{Path(control).stem}*"):
                left.unlink(missing_ok=True)


def _bundles(spec: EndpointSpec) -> dict[str, Path]:
    """Return digest -> folder of everything that `spec` loads."""
    return {model.digest: model.bundle for arm in spec.arms for model in arm.models.values()}


def _changed(name: str) -> Refused:
    return Refused(
        f"endpoint {name!r} was changed after this was planned",
        hint="Look at it with %endpoints, then run this again: a new plan is made.",
    )


def _process(pid: Any, started: Any) -> psutil.Process | None:
    """Return the process, unless it is gone or its number belongs to another one by now."""
    try:
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(started)) < SAME_START
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, TypeError, ValueError):
        return None


def _gone(processes: list[psutil.Process], patience: float) -> None:
    """Wait until processes have ended; end those by force that take longer than `patience` seconds."""
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=ANSWER)


def _last_words(state: dict[str, Any]) -> str:
    ended = state.get("ended")
    return f"it was stopped: {ended}" if ended else "its supervisor ended; restart it with .restart()"
