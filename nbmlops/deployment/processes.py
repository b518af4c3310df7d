"""Which processes an endpoint needs, and the command of each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, EndpointError
from nbmlops.deployment.arms import ArmSpec, Model
from nbmlops.deployment.child import Command
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.serving import source_files
from nbmlops.serving.pins import LOCK_FILE

ISLAND = "nbmlops_serving"  # the serving island's name inside a bundle
CONFIG, TOKEN = "config.json", "token"  # of a server that stands alone
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}  # what a model prints is in the log when it was printed
# Isolated, Python takes neither the user's own packages nor the current folder, so the bundle is put first by hand.
LAUNCH = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), None, '__main__', True)"
)
# A server that stands alone ends when its input does, so that it never outlives the process that started it.
WATCHED = (
    "import os, sys, threading; threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True)"
    f".start(); {LAUNCH}"
)
KERNELS_OWN = ("PYTHON", "VIRTUAL_ENV", "CONDA_", "JPY_", "IPY")  # beginnings of variables that say how the kernel runs


@dataclass(frozen=True, order=True)
class Post:
    """A place that one process fills: scorer number `slot`, or that scorer's worker for one model.

    `version` names the model as the arm's `models` do.
    """

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
    workers = [post for slot in slots for post in all_workers(spec.arms, slot)]
    return (*workers, *(Post(slot) for slot in slots))


def worker_posts(arm: ArmSpec, slot: int) -> list[Post]:
    """Return the posts of the workers that scorer number `slot` needs for `arm`."""
    return [Post(slot, name, model.digest) for name, model in arm.models.items() if needs_worker(model)]


def all_workers(arms: Iterable[ArmSpec], slot: int) -> list[Post]:
    """Return the posts of all workers that scorer number `slot` needs."""
    return [post for arm in arms for post in worker_posts(arm, slot)]


def model_at(post: Post, spec: EndpointSpec) -> Model:
    """Return the model that the worker at `post` serves."""
    return next(arm.models[post.version] for arm in spec.arms if post.version in arm.models)


def needs_worker(model: Model) -> bool:
    """Whether a model runs in a process of its own: not ONNX, or packed with another island or other pins than ours."""
    if model.runtime != "onnx" or not same_island(model.bundle):
        return True
    return bool(model.python) and not same_pins(model.bundle)


@lru_cache
def same_island(bundle: Path) -> bool:
    """Whether the bundle carries the serving island that is installed here."""
    packed = {
        name.removeprefix(f"{ISLAND}/"): digest
        for name, digest in manifest(bundle).get("files", {}).items()
        if name.startswith(f"{ISLAND}/")
    }
    return not packed or packed == installed_island()


@lru_cache
def same_pins(bundle: Path) -> bool:
    """Whether every package that the bundle's lock pins is installed here in that version."""
    try:
        lines = (bundle / "requirements.lock").read_text("utf-8").split()
    except OSError:  # a bundle of before, which had none
        return True
    return all(_installed(line) for line in lines)


def _installed(pin: str) -> bool:
    name, _, version = pin.partition("==")
    try:
        return metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False


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


def lock_text(bundle: Path) -> str:
    """Return the exact pins that a bundle's server needs; empty where it says nothing."""
    try:
        return (bundle / LOCK_FILE).read_text()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def installed_island() -> dict[str, str]:
    """Return path -> digest of the serving island's files as installed here."""
    return {name: digests.of_file(path) for name, path in source_files().items()}


def scorer_command(post: Post, folder: Path, listener: int) -> Command:
    """Return the command of a scorer that inherits the listening socket `listener`."""
    argv = (sys.executable, "-m", "nbmlops.serving.scorer", "--fd", str(listener))
    return Command(post.name, argv, os.environ | UNBUFFERED, folder, (listener,))


def worker_command(post: Post, model: Model, *, folder: Path, socket: Path) -> Command:
    """Return the command of a worker that serves `model` on `socket`."""
    arguments = ("--bundle", str(model.bundle), "--socket", str(socket))
    if model.python:
        return Command(post.name, isolated(model.python, model.bundle, "worker", *arguments), clean(), folder)
    environment = os.environ | UNBUFFERED
    package = "nbmlops.serving"
    if not same_island(model.bundle):  # what it was packed with, it is served with
        package = ISLAND
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(model.bundle), os.environ.get("PYTHONPATH"))))
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # a bundle holds what its digest says and no more
    return Command(post.name, (sys.executable, "-m", f"{package}.worker", *arguments), environment, folder)


def isolated(python: str | Path, bundle: Path, module: str, *arguments: str, code: str = LAUNCH) -> tuple[str, ...]:
    """Return the command that runs a module of the bundle's own island in another environment, cut off from ours.

    Parameters
    ----------
    python : path
        The environment's interpreter.
    bundle : pathlib.Path
    module : str
        Below the island.
    *arguments : str
    code : str
        What runs it.

    Raises
    ------
    EndpointError
        The environment is gone.
    """
    if not Path(python).exists():
        raise EndpointError(
            f"the environment with {python}, which this version was proved in, was cleared away",
            hint="Deploy the version again: its environment is made anew.",
        )
    return (str(python), "-I", "-u", "-c", code, str(bundle), f"{ISLAND}.{module}", *arguments)


def served_alone(python: Path, bundle: Path, folder: Path) -> tuple[str, ...]:
    """Return the command of a bundle's own server, configured by two files in `folder`; it ends when its input does."""
    arguments = ("--config", str(folder / CONFIG), "--token-file", str(folder / TOKEN), "--port", "0")
    return isolated(python, bundle, "__main__", *arguments, code=WATCHED)


def clean() -> dict[str, str]:
    """Return the environment variables without those that say how this kernel's own Python runs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(KERNELS_OWN)}
