"""The pins of a bundle, and what is installed in this process for them."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import msgspec
from msgspec.structs import replace

LOCK_FILE = "requirements.lock"
MANIFEST = "bundle.json"
PYTHON = "python"

# NAME==VERSION, with whatever pip lets follow it; an editable install is kept as a comment of that form.
_EXACT = re.compile(r"(?:# )?([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_DIRECT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*) @ (\S+)")
_COMMIT = re.compile(r"@([0-9a-f]{7,64})(?:#|$)")
_WHEEL = re.compile(r"\./[^#]*?([A-Za-z0-9_.]+)-([^-/]+)-[^/]*\.whl")


class Pin(msgspec.Struct, frozen=True):
    """One line of a lock.

    Attributes
    ----------
    version : str
        Empty where the line gives an address alone.
    commit : str
        Of a package that comes from version control.
    address : str
        Where it comes from, unless from an index.
    is_shipped : bool
        Whether it is a wheel in the bundle, which holds what its own digest says and knows no commit any more.
    """

    version: str = ""
    commit: str = ""
    address: str = ""
    is_shipped: bool = False

    @property
    def told(self) -> str:
        """The pin in a few words."""
        return self.version + (f"@{self.commit}" if self.commit else "") or self.address


class Difference(msgspec.Struct, frozen=True):
    """A package that is not installed as it is pinned; `installed` is empty where it is missing."""

    name: str
    pinned: str
    installed: str

    def __str__(self) -> str:
        return f"{self.name} {self.installed or 'is missing'} instead of {self.pinned}"


class Installed(msgspec.Struct, frozen=True):
    """What is installed in a process for the pins of a bundle.

    Attributes
    ----------
    environment_id : str
        Of the run that made the model, as the bundle says.
    serving_environment_id : str
        ``sha256:…`` over the Python minor version and what is installed here for each pin of the bundle; empty where
        it has no lock.
    locked : str
        The same of the bundle's own pins.
    differs : tuple of Difference
        Sorted by name, Python first.
    """

    environment_id: str = ""
    serving_environment_id: str = ""
    locked: str = ""
    differs: tuple[Difference, ...] = ()


class _Ids(msgspec.Struct):
    """What ``bundle.json`` says of environments."""

    environment_id: str = ""
    serving_environment_id: str = ""
    python: str = ""
    commits: dict[str, str] = {}


def read_pins(text: str) -> dict[str, Pin]:
    """Return canonical name -> pin of a lock in pip's syntax; lines of another form say nothing.

    >>> read_pins("mine @ git+https://example.org/mine@0123abc")["mine"].commit
    '0123abc'
    """
    found: dict[str, Pin] = {}
    for line in text.splitlines():
        if exact := _EXACT.match(line):
            found[canonical(exact[1])] = Pin(exact[2])
        elif direct := _DIRECT.match(line):
            commit = _COMMIT.search(direct[2])
            found[canonical(direct[1])] = Pin("", commit[1] if commit else "", direct[2])
        elif wheel := _WHEEL.match(line):
            found[canonical(wheel[1])] = Pin(wheel[2], is_shipped=True)
    return found


@cache
def installed_for(bundle: Path) -> Installed:
    """Return what this process has for the lock of a bundle.

    What was looked up once holds for the process's life: it goes on with what it has loaded, whatever is installed
    below it meanwhile.
    """
    return compared(bundle, installed)


def compared(bundle: Path, look: Callable[[str], Pin]) -> Installed:
    """Return what there is for the lock of a bundle, where `look` tells what is installed under a name."""
    ids = msgspec.json.decode((bundle / MANIFEST).read_bytes(), type=_Ids)
    try:
        pins = read_pins((bundle / LOCK_FILE).read_text())
    except FileNotFoundError:
        return Installed(ids.environment_id, "", ids.serving_environment_id)
    pins = {name: replace(pin, commit=pin.commit or ids.commits.get(name, "")) for name, pin in pins.items()}
    here = {name: _known(look(name), pins[name]) for name in pins}
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    differs = [Difference(PYTHON, ids.python, minor)] if ids.python not in ("", minor) else []
    differs += [
        Difference(name, pins[name].told, here[name].told) for name in sorted(pins) if not _same(pins[name], here[name])
    ]
    return Installed(ids.environment_id, _digest(minor, here), ids.serving_environment_id, tuple(differs))


def _known(here: Pin, pin: Pin) -> Pin:
    """Return what is installed with the commit that it was packed from, where it came as a wheel of the bundle."""
    return replace(here, commit=pin.commit) if pin.is_shipped and here.version and not here.commit else here


def _same(pin: Pin, here: Pin) -> bool:
    """Say whether what is installed is what is pinned, as far as the pin tells."""
    if not here.version or (pin.version and pin.version != here.version):
        return False
    return not pin.commit or pin.commit == here.commit


def _digest(minor: str, here: Mapping[str, Pin]) -> str:
    """Return the id of an environment; the text is the RFC 8785 form of the same facts as nbmlops hashes."""
    pins = sorted(f"{name}=={pin.version}{pin.commit and '@' + pin.commit}" for name, pin in here.items())
    text = json.dumps({"pins": pins, "python": minor}, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def find_installed(name: str) -> Pin:
    """Return version and commit of what is installed under a canonical name; without a version it is missing."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return Pin()
    # `found.version` parses the whole file with its description, which takes ten times as long.
    head = re.search(r"^Version: (.+)$", found.read_text("METADATA") or found.read_text("PKG-INFO") or "", re.MULTILINE)
    return Pin(head[1].strip() if head else found.version, _commit(found.read_text("direct_url.json") or ""))


installed = cache(find_installed)


def _commit(direct_url: str) -> str:
    """Return the commit that PEP 610's record of a distribution names."""
    try:
        commit = json.loads(direct_url).get("vcs_info", {}).get("commit_id", "")
    except (ValueError, AttributeError):  # none, or no record
        return ""
    return str(commit)


def canonical(name: str) -> str:
    """Return a distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()
