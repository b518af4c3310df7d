"""An endpoint's specification as it is stored: JSON with a format, a revision, and the time of its last split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nbmlops.core.errors import Corrupt, NbmlopsError
from nbmlops.deployment.spec import FORMAT, EndpointSpec


@dataclass(frozen=True)
class Stored:
    """What ``spec.json`` holds.

    Attributes
    ----------
    spec : EndpointSpec
    revision : int
        Grows with every change, so that two that look alike can be told apart and put in order.
    since : float, seconds since the epoch
        When its traffic was last divided; 0 where that is not known.
    """

    spec: EndpointSpec
    revision: int = 0
    since: float = 0.0

    def followed_by(self, spec: EndpointSpec, now: float) -> Stored:
        """Return what is to be stored when `spec` takes this one's place at the time `now`."""
        same = spec.traffic == self.spec.traffic
        return Stored(spec, self.revision + 1, self.since if same else now)


def encode(spec: EndpointSpec, home: Path) -> dict[str, Any]:
    """Return `spec` as plain data; bundles below `home` are relative to it, so that the workspace may be moved."""
    data = spec.to_dict()
    for holder in _holders(data):
        path = Path(holder["bundle"])
        if path.is_relative_to(home):
            holder["bundle"] = path.relative_to(home).as_posix()
    return {"format": FORMAT, **data}


def decode(data: Any, home: Path) -> EndpointSpec:
    """Return the endpoint that `encode` wrote, in this format or an older one.

    Raises
    ------
    Corrupt
        When the data is not of that form, or of a newer one.
    """

    def path(kind: type, value: Any) -> Any:
        return home / str(value) if kind is Path else value

    written = data.get("format", 1) if isinstance(data, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise Corrupt(
            f"the stored endpoint has format {written}, and this nbmlops reads up to {FORMAT}",
            hint="A newer nbmlops deployed it: upgrade, or deploy it again.",
        )
    try:
        return msgspec.convert(data, EndpointSpec, dec_hook=path)
    except (msgspec.ValidationError, NbmlopsError) as error:
        raise Corrupt(f"the stored endpoint can't be read: {error}", hint="Deploy it again.") from error


def to_file(stored: Stored, home: Path) -> dict[str, Any]:
    """Return what is written into ``spec.json``."""
    return {**encode(stored.spec, home), "revision": stored.revision, "since": stored.since}


def from_file(data: Any, home: Path) -> Stored:
    """Return what ``spec.json`` holds.

    Raises
    ------
    Corrupt
    """
    spec = decode(data, home)
    try:
        return Stored(spec, int(data.get("revision", 0)), float(data.get("since", 0.0)))
    except (TypeError, ValueError) as error:
        raise Corrupt(f"the stored endpoint can't be read: {error}", hint="Deploy it again.") from error


def _holders(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield everything in an encoded endpoint that names a bundle."""
    for arm in data["arms"]:
        yield arm
        yield from arm["members"]
