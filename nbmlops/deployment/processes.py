"""Which processes an endpoint needs, and the command of each."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt
from nbmlops.deployment.child import Command
from nbmlops.deployment.spec import ArmSpec, EndpointSpec
from nbmlops.serving import source_files

ISLAND = "nbmlops_serving"  # the serving island's name inside a bundle
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}  # what a model prints is in the log when it was printed


@dataclass(frozen=True, order=True)
class Post:
    """A place that one process fills: scorer number `slot`, or that scorer's worker for one arm."""

    slot: int
    version: str = ""
    digest: str = ""

    @property
    def is_scorer(self) -> bool:
        return not self.version

    @property
    def name(self) -> str:
        """As the log and the journal call it."""
        return f"scorer {self.slot}" if self.is_scorer else f"worker {self.slot} of version {self.version}"


def posts(spec: EndpointSpec) -> tuple[Post, ...]:
    """Return the posts of `spec`, workers before the scorers that need them."""
    slots = range(spec.resources.workers)
    workers = [Post(slot, arm.version, arm.digest) for arm in spec.arms if needs_worker(arm) for slot in slots]
    return (*workers, *(Post(slot) for slot in slots))


def needs_worker(arm: ArmSpec) -> bool:
    """Whether the arm runs in a process of its own: not ONNX, or packed with another serving island than ours."""
    return arm.runtime != "onnx" or not same_island(arm.bundle)


@lru_cache
def same_island(bundle: Path) -> bool:
    """Whether the bundle carries the serving island that is installed here."""
    packed = {
        name.removeprefix(f"{ISLAND}/"): digest
        for name, digest in manifest(bundle).get("files", {}).items()
        if name.startswith(f"{ISLAND}/")
    }
    return not packed or packed == installed_island()


def manifest(bundle: Path) -> dict[str, Any]:
    """Return the content of a bundle's ``bundle.json``.

    Raises
    ------
    Corrupt
        When it is missing or no JSON object.
    """
    try:
        data = json.loads((bundle / "bundle.json").read_bytes())
    except (OSError, ValueError) as error:
        raise Corrupt(
            f"{bundle} is no bundle: {error}", hint="Deploy the version again: it is packaged anew."
        ) from error
    if not isinstance(data, dict):
        raise Corrupt(f"{bundle}/bundle.json holds no object", hint="Deploy the version again: it is packaged anew.")
    return data


@lru_cache(maxsize=1)
def installed_island() -> dict[str, str]:
    """Return path -> digest of the serving island's files as installed here."""
    return {name: digests.of_file(path) for name, path in source_files().items()}


def scorer_command(post: Post, folder: Path, listener: int) -> Command:
    """Return the command of a scorer that inherits the listening socket `listener`."""
    argv = (sys.executable, "-m", "nbmlops.serving.scorer", "--fd", str(listener))
    return Command(post.name, argv, os.environ | UNBUFFERED, folder, (listener,))


def worker_command(post: Post, arm: ArmSpec, *, folder: Path, socket: Path) -> Command:
    """Return the command of a worker that serves `arm` on `socket`."""
    environment = os.environ | UNBUFFERED
    package = "nbmlops.serving"
    if not same_island(arm.bundle):  # what it was packed with, it is served with
        package = ISLAND
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(arm.bundle), os.environ.get("PYTHONPATH"))))
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # a bundle holds what its digest says and no more
    argv = (sys.executable, "-m", f"{package}.worker", "--bundle", str(arm.bundle), "--socket", str(socket))
    return Command(post.name, argv, environment, folder)
