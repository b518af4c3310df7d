"""Reading a bundle's lock: which packages at which version, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from nbmlops.capture.distributions import canonical


@dataclass(frozen=True)
class Pin:
    """One line of a lock.

    Attributes
    ----------
    name : str
        Canonical name.
    version : str
        Empty where a URL says it.
    requirement : str
        The line as an installer takes it; empty for an editable install that is not shipped.
    wheel : str
        The wheel's path in the bundle; empty where there is none.
    """

    name: str
    version: str
    requirement: str
    wheel: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


def read_lock(text: str) -> tuple[Pin, ...]:
    """Return the pins of a lock as `nbmlops.packaging.lock` writes it.

    >>> read_lock("numpy==2.1.0")
    (Pin(name='numpy', version='2.1.0', requirement='numpy==2.1.0', wheel=''),)
    """
    return tuple(_pin(line) for line in text.splitlines() if line.strip())


def _pin(line: str) -> Pin:
    if line.startswith("./"):
        name, version = PurePosixPath(line).name.split("-")[:2]
        return Pin(canonical(name), version, line, wheel=line.removeprefix("./"))
    if line.startswith("#"):
        name, _, rest = line.removeprefix("# ").partition("==")
        return Pin(canonical(name), rest.split(" ")[0], "")
    if " @ " in line:
        return Pin(canonical(line.partition(" @ ")[0]), "", line)
    name, _, version = line.partition("==")
    return Pin(canonical(name), version, line)
