"""A trial: bundles behind the same supervisor and server that an endpoint has, for as long as a ``with`` block."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nbmlops.deployment import launch
from nbmlops.deployment.arms import ArmSpec
from nbmlops.deployment.folder import RunFolder, write_json
from nbmlops.deployment.processes import manifest
from nbmlops.deployment.spec import EndpointSpec, Limits, Resources
from nbmlops.deployment.storing import encode

NAME = "trial"
LONGEST_BASE = 60  # bytes; the sockets lie in the trial's folder, and a socket's path may hold 108


class HasPath(Protocol):
    """A bundle, as packaging returns it."""

    @property
    def path(self) -> Path: ...


@dataclass(frozen=True)
class Trial:
    """A running trial.

    Attributes
    ----------
    url : str
    headers : dict of str to str
        With the bearer token.
    supervisor : int
        The supervisor's pid.
    errors : pathlib.Path
        The folder of the requests that it failed on.
    """

    url: str
    headers: dict[str, str]
    supervisor: int
    control: Path
    errors: Path

    @property
    def pids(self) -> tuple[int, ...]:
        """Pids of the processes that score: scorers, and workers where there are some."""
        return tuple(process["pid"] for process in self.status()["processes"])

    def status(self) -> dict[str, Any]:
        """Return what the supervisor says of itself and of its processes."""
        return launch.ask(self.control, {"op": "status"}, 10.0)


@contextmanager
def trial(
    bundles: HasPath | Path | Sequence[HasPath | Path],
    *,
    resources: Resources | None = None,
    limits: Limits | None = None,
    python: str = "",
) -> Iterator[Trial]:
    """Serve one or several bundles for the length of the block; nothing is journalled and nothing is left.

    The first bundle gets all the traffic; the others, versions ``2``, ``3``, …, answer where a request asks for them.

    Parameters
    ----------
    bundles : Bundle, path, or sequence of them
    resources : Resources, optional
    limits : Limits, optional
    python : str
        The interpreter that worker processes run; by default this one.

    Raises
    ------
    EndpointError
        When the server does not start; the message has its last lines.
    """
    given = bundles if isinstance(bundles, Sequence) else [bundles]
    paths = [(one if isinstance(one, Path) else one.path).resolve() for one in given]
    spec = EndpointSpec(
        endpoint=NAME,
        model=NAME,
        arms=tuple(_arm(place, path, python) for place, path in enumerate(paths)),
        resources=resources or Resources(),
        limits=limits or Limits.from_settings(),
    )
    folder = RunFolder(_short_folder())
    try:
        folder.create()
        write_json(folder.spec, encode(spec, folder.path))
        started = launch.launch(folder)
        try:
            headers = {"Authorization": f"Bearer {folder.token.read_text()}"}
            yield Trial(
                started.state["url"],
                headers,
                started.state["pid"],
                Path(started.state["control"]),
                folder.path / "errors",
            )
        finally:
            launch.end(started.process)
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def _arm(place: int, path: Path, python: str) -> ArmSpec:
    runtime = str(manifest(path).get("runtime", ""))
    weight = 100.0 if place == 0 else 0.0
    digest = f"trial:{path.name}"
    return ArmSpec(str(place + 1), NAME, path, digest=digest, runtime=runtime, weight=weight, python=python)


def _short_folder() -> Path:
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="nbmlops-trial-", dir=base if len(base) < LONGEST_BASE else "/tmp"))
