"""Restore where a version was made: its environment, its modules, and the cells that ran, in a folder of their own."""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from nbmlops.capture import Environment, Package
from nbmlops.capture.distributions import canonical
from nbmlops.core import digests
from nbmlops.core.display import Card, Shown, code, short
from nbmlops.core.errors import Corrupt, InvalidInput
from nbmlops.core.progress import stage
from nbmlops.core.records import Record
from nbmlops.core.workspace import storage_errors
from nbmlops.packaging.contents import LOCK
from nbmlops.packaging.lock import Lock
from nbmlops.packaging.venv import VirtualEnvironment, make_environment
from nbmlops.packaging.wheels import wheels_of

VENV, CODE, NOTEBOOK, PATHS = ".venv", "code", "notebook.ipynb", "nbmlops-code.pth"
OWN = "nbmlops"


@dataclass(frozen=True)
class Restored(Record, Shown):
    """What was restored, and where.

    Attributes
    ----------
    reference : str
    folder : pathlib.Path
    environment_id : str
        Of the run that made the model, and of what is installed in the folder now.
    packages : int
    origins : mapping of str to int
        Where packages were taken from -> how many.
    left_out : tuple of str
        Editable installs that the kernel had and the model does not need, and that nothing was kept of.
    modules : tuple of str
        The project's own modules, below ``code``, importable in the environment.
    cells : int
        Cells in ``notebook.ipynb``, in the order in which they ran; 0 where none were captured.
    kernel : bool
        Whether it can be a kernel of Jupyter: whether ipykernel is among the packages.
    """

    reference: str
    folder: Path
    environment_id: str
    packages: int
    origins: Mapping[str, int]
    left_out: tuple[str, ...]
    modules: tuple[str, ...]
    cells: int
    kernel: bool

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / VENV / "bin" / "python"

    @property
    def activate(self) -> str:
        """The line for a shell that activates it."""
        return f"source '{self.folder / VENV / 'bin' / 'activate'}'"

    @property
    def register(self) -> str:
        """The line for a shell that makes it a kernel of Jupyter; empty where it can be none."""
        name = self.reference.replace("/", "-")
        line = f"'{self.python}' -m ipykernel install --user --name '{name}' --display-name '{self.reference}'"
        return line if self.kernel else ""

    def _show_(self) -> Card:
        taken = ", ".join(f"{count} from {origin}" for origin, count in self.origins.items())
        return Card(
            title=f"Restored {self.reference}",
            fields={
                "folder": str(self.folder),
                "environment": short(self.environment_id),
                "packages": f"{self.packages}: {taken}" if taken else str(self.packages),
                "left out": list(self.left_out),
                "own modules": list(self.modules),
                "notebook": f"{NOTEBOOK}, {self.cells} cells as they ran" if self.cells else "",
                "activate": code(self.activate),
                "as a kernel": code(self.register) if self.register else "",
            },
        )


@dataclass(frozen=True)
class _Locked:
    """A folder with a lock, as `nbmlops.packaging.venv` takes it."""

    path: Path
    manifest: Mapping[str, Any]


def restore(reference: str, captured: Mapping[str, Any], model: Path, *, folder: Path, fetch: bool = False) -> Restored:
    """Make the environment of a version in `folder`, with its modules and the cells that ran.

    Parameters
    ----------
    reference : str
        ``name/version``.
    captured : mapping
        What was captured at its registration.
    model : pathlib.Path
        Its MLflow model folder, whose ``code`` holds the modules.
    folder : pathlib.Path
        Made where it does not exist; must be empty otherwise.
    fetch : bool, default False
        Let uv fetch what is neither installed here nor in its cache.

    Raises
    ------
    InvalidInput
        No environment was captured, or the folder is not empty.
    Refused
        The version was made with another Python, or a package can't be had; each is named. Nothing is left then.
    """
    if not captured.get("environment"):
        raise InvalidInput(f"no environment was captured of {reference}", expected="a model registered by nbmlops")
    environment = Environment.of(captured["environment"])
    folder = folder.expanduser().absolute()
    with storage_errors(folder), _filled(folder):
        kept = _write_code(model / CODE, folder / CODE)
        left_out = _write_lock(environment, folder, captured["environment"])
        cells = _write_notebook(captured.get("notebook") or {}, folder / NOTEBOOK)
        made = make_environment(_Locked(folder, {"python": environment.python}), folder / VENV, fetch=fetch)
        _check(environment, made, left_out)
        _add_code(made, folder / CODE)
    counted: dict[str, int] = {}
    for origin in made.origins.values():
        counted[origin] = counted.get(origin, 0) + 1
    return Restored(
        reference,
        folder,
        environment.id,
        packages=len(made.origins),
        origins=counted,
        left_out=tuple(f"{one.name} {one.version}" for one in left_out),
        modules=kept,
        cells=cells,
        kernel="ipykernel" in made.origins,
    )


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Let a folder be filled; where that fails, it is as it was before, and so are the folders above it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} exists and is not empty", expected="a folder that is empty or does not exist")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in missing[-1:] or folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        raise


def _write_code(source: Path, target: Path) -> tuple[str, ...]:
    if not source.is_dir():
        return ()
    shutil.copytree(source, target)
    return tuple(sorted(path.stem for path in target.iterdir()))


def _write_lock(environment: Environment, folder: Path, captured: Mapping[str, Any]) -> list[Package]:
    """Write the lock and the wheels that it names; return the packages of which nothing was kept."""
    stage("packing what came from no index")
    wheels = list(wheels_of(environment.packages, folder / CODE, captured))
    packed = {wheel.package for wheel in wheels}
    lost = [one for one in environment.packages if one.origin == "editable" and canonical(one.name) not in packed]
    for one in (one for one in lost if canonical(one.name) == OWN):
        wheels += _own_wheel(one)
    for wheel in wheels:
        place = folder / wheel.place
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(wheel.content)
    packed = {wheel.package for wheel in wheels}
    left_out = [one for one in lost if one.scope != "model" and canonical(one.name) not in packed]
    packages = tuple(one for one in environment.packages if one not in left_out)
    locked = Lock(environment.id, environment.python, packages)
    (folder / LOCK).write_text(locked.with_wheels({wheel.package: wheel.place for wheel in wheels}))
    return left_out


def _own_wheel(package: Package) -> list[Any]:
    """Return nbmlops itself as a wheel, where it is an editable install: the restored notebook loads it."""
    place = Path(__file__).resolve().parent.parent
    return list(wheels_of([package], place.parent, {"local_modules": [{"path": str(place)}]}))


def _write_notebook(captured: Mapping[str, Any], target: Path) -> int:
    """Write the cells that ran, in their order, as a notebook."""
    cells = [
        {
            "cell_type": "code",
            "id": digests.of_json([place, cell["source"]]).removeprefix(digests.PREFIX)[:16],
            "metadata": {},
            "execution_count": cell["execution_count"],
            "outputs": [],
            "source": cell["source"],
        }
        for place, cell in enumerate(captured.get("cells") or ())
    ]
    if cells:
        facts = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"language_info": {"name": "python"}}}
        target.write_text(json.dumps({**facts, "cells": cells}, indent=1))
    return len(cells)


def _check(environment: Environment, made: VirtualEnvironment, left_out: list[Package]) -> None:
    """Compare what is installed now with what was captured.

    Raises
    ------
    Corrupt
        Naming the packages that differ.
    """
    found = {canonical(one.name): one.version for one in distributions(path=[str(_site(made))])}
    differs = [
        f"{one.name} {found.get(canonical(one.name), 'is missing')} instead of {one.version}"
        for one in environment.packages
        if one not in left_out and found.get(canonical(one.name)) != one.version
    ]
    if differs:
        raise Corrupt(f"what was installed is not what was captured: {'; '.join(differs)}", hint="Run it again.")


def _add_code(made: VirtualEnvironment, code: Path) -> None:
    """Let the environment import the modules, by a path that stays right where the folder is moved."""
    site = _site(made)
    if code.is_dir():
        (site / PATHS).write_text(f"{os.path.relpath(code, site)}\n")


def _site(made: VirtualEnvironment) -> Path:
    places = {"base": str(made.folder), "platbase": str(made.folder)}
    return Path(sysconfig.get_path("purelib", "venv", vars=places))
