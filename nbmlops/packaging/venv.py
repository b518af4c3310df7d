"""A virtual environment that holds what a bundle's lock pins and nothing else, made once and kept for the user.

Each package comes from the first of: a wheel in the bundle; the installation that this process runs in, where it has
the pinned version; uv's cache; and, only where the user allows it, the network.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nbmlops.capture.distributions import installed
from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, Refused
from nbmlops.core.progress import stage
from nbmlops.core.records import Record, frozen_map
from nbmlops.packaging import venv_cache, venv_copy, venv_uv
from nbmlops.packaging.contents import LOCK
from nbmlops.packaging.pins import Pin, read_lock

FACTS = "nbmlops.json"
FORMAT = 1
BUNDLE, HERE, UV, INDEX = "the bundle", "this kernel's installation", "uv's cache", "the network"


class Locked(Protocol):
    """A bundle, as `nbmlops.packaging.Bundle` is one."""

    @property
    def path(self) -> Path: ...

    @property
    def manifest(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class VirtualEnvironment(Record):
    """An environment on disk.

    Attributes
    ----------
    folder : pathlib.Path
    origins : mapping of str to str
        Canonical name of a package -> where it was taken from.
    """

    folder: Path
    origins: Mapping[str, str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return _python(self.folder)


def interpreter(bundle: Locked) -> Path:
    """Return where the interpreter of the bundle's environment is, or will be when it is made."""
    return _python(_folder(bundle))


def environment_for(bundle: Locked, *, fetch: bool = False) -> VirtualEnvironment:
    """Return the environment of a bundle, making it where the user has none yet.

    It is complete or not there at all, and two processes that want it at once make it once.

    Parameters
    ----------
    bundle : Bundle
    fetch : bool, default False
        Let uv ask its index for what is neither installed here nor cached.

    Raises
    ------
    Refused
        The lock is for another Python, a package would have to be fetched, or an installed one was changed by hand.
    StorageError
        The cache can't be written.
    """
    check_python(bundle)
    folder = _folder(bundle)
    with venv_cache.claimed(folder) as is_there:
        if is_there:
            return _opened(folder)
        with venv_cache.building(folder) as unfinished:
            facts = _make(bundle, unfinished, fetch=fetch)
            (unfinished / FACTS).write_text(json.dumps({"format": FORMAT, **facts}))
        return _opened(folder)


def make_environment(locked: Locked, folder: Path, *, fetch: bool = False) -> VirtualEnvironment:
    """Make the environment of a lock in a folder of the user's own, which is not kept in the cache.

    Parameters
    ----------
    locked : Bundle
        Its lock, and the wheels that the lock names.
    folder : pathlib.Path
        Is not there yet. What was begun in it when this fails is left to the caller.
    fetch : bool, default False
        As for `environment_for`.

    Raises
    ------
    Refused
        As `environment_for` does.
    """
    check_python(locked)
    return VirtualEnvironment(folder, frozen_map(_make(locked, folder, fetch=fetch)["origins"]))


def check_python(bundle: Locked) -> None:
    """Raise Refused where the bundle's lock is for another minor version of Python than this process runs."""
    locked = str(bundle.manifest.get("python") or "")
    here = ".".join(platform.python_version_tuple()[:2])
    if locked and locked != here:
        raise Refused(
            f"the model was captured with Python {locked}, and this kernel runs Python {here}",
            expected="the same minor version: packages and pickles differ from one to the next",
            hint=f"Deploy from a kernel with Python {locked}, or register the model again here.",
        )


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _folder(bundle: Locked) -> Path:
    """Return the folder of a bundle's environment: named by its id, and by what that leaves out."""
    name = str(bundle.manifest["serving_environment_id"]).removeprefix(digests.PREFIX)[:16]
    wheels = {name: digest for name, digest in bundle.manifest["files"].items() if name.endswith(".whl")}
    rest = [FORMAT, os.path.realpath(sys.executable), sys.version, platform.platform(), wheels, read(bundle)]
    return venv_cache.root() / f"{name}-{digests.of_json(rest).removeprefix(digests.PREFIX)[:8]}"


def read(bundle: Locked) -> str:
    """Return the text of a bundle's lock."""
    try:
        return (bundle.path / LOCK).read_text("utf-8")
    except OSError as error:
        raise Corrupt(f"{bundle.path / LOCK} can't be read", hint="Deploy again: the bundle is built anew.") from error


def _opened(folder: Path) -> VirtualEnvironment:
    facts = json.loads((folder / FACTS).read_text())
    return VirtualEnvironment(folder, frozen_map(facts["origins"]))


def _make(bundle: Locked, folder: Path, *, fetch: bool) -> dict[str, Any]:
    pins = read_lock(read(bundle))
    stage(f"making an environment of {len(pins)} locked packages")
    _check_shipped(pins)
    venv_uv.make(folder)
    here = {pin.name: installed().by_name[pin.name] for pin in pins if is_here(pin)}
    # What may be missing comes first: nothing is copied for an environment that can't be made.
    others = [pin for pin in pins if pin.name not in here]
    missing = venv_uv.install(others, _python(folder), beside=bundle.path)
    if missing and not fetch:
        raise _must_fetch(missing)
    if missing:
        stage(f"fetching {len(missing)} packages")
        venv_uv.fetch(missing, _python(folder))
    siblings = [_packages(one) for one in venv_cache.newest()]
    size = venv_copy.copy(here.values(), _packages(folder), siblings=siblings)
    origins = {pin.name: HERE if pin.name in here else BUNDLE if pin.wheel else UV for pin in pins}
    return {"bytes": size, "origins": origins | {pin.name: INDEX for pin in missing}}


def is_here(pin: Pin) -> bool:
    """Whether this process's installation has the pinned version, and it can be put elsewhere."""
    found = installed().by_name.get(pin.name)
    plain = found is not None and not pin.wheel and pin.requirement == f"{found.name}=={found.version}"
    return plain and found is not None and venv_copy.can_copy(found)


def _packages(folder: Path) -> Path:
    places = {"base": str(folder), "platbase": str(folder)}
    return Path(sysconfig.get_path("purelib", "venv", vars=places))


def _check_shipped(pins: tuple[Pin, ...]) -> None:
    absent = [str(pin) for pin in pins if not pin.requirement]
    if absent:
        raise Refused(
            f"the model needs {', '.join(absent)}, an editable install of which no module was shipped",
            expected="a package that an index has, or whose modules are imported when the model is registered",
            hint="Import it in the notebook and register again, or install it as a wheel (pip install .).",
        )


def _must_fetch(missing: list[Pin]) -> Refused:
    """Return the refusal that names each package, and the version of it that is here."""

    def told(pin: Pin) -> str:
        found = installed().by_name.get(pin.name)
        if found is None:
            return f"{pin} (not installed here)"
        return f"{pin} (this kernel has {found.version})" if found.version != pin.version else f"{pin} (not copyable)"

    pins = " ".join(f"'{pin.requirement}'" for pin in missing)
    return Refused(
        f"the model's environment can't be made without the network: {', '.join(map(told, missing))} would have to be "
        "fetched",
        expected="every pinned package installed in this kernel or in uv's cache",
        hint=f"Allow it with --fetch, install the pinned versions here (pip install {pins}), or register the model "
        "again with what this kernel has.",
    )
