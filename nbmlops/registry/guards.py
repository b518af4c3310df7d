"""What a guard says no to: deleting what is in use, running code that came from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbmlops.core.errors import Refused, Untrusted
from nbmlops.registry import integrity, kinds
from nbmlops.registry.records import StoredVersion

if TYPE_CHECKING:
    from pathlib import Path

    from nbmlops.journal import Journal

Places = Mapping[tuple[str, int], tuple[str, ...]]


def deployed(journal: Journal) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return (name, version) -> endpoints that hold it, with traffic or ready for a rollback."""
    from nbmlops.journal import endpoints

    places: dict[tuple[str, int], set[str]] = {}
    for state in endpoints(journal.events("endpoint.*")).values():
        if state.status == "deleted":
            continue
        for version in {*state.traffic, *state.versions}:
            if version.isdecimal():
                places.setdefault((state.model, int(version)), set()).add(state.name)
        for member in (member for arm in state.arms for member in arm.get("members") or ()):
            places.setdefault((str(member["model"]), int(member["version"])), set()).add(state.name)
    return {key: tuple(sorted(names)) for key, names in places.items()}


def check_unused(version: StoredVersion, places: Places, what: str) -> None:
    """Refuse where an endpoint serves the version or an alias names it.

    Parameters
    ----------
    version : StoredVersion
    places : mapping of (str, int) to tuple of str
        As `deployed` gives it.
    what : str
        What was going to happen, such as ``deleted``.

    Raises
    ------
    Refused
        Naming the endpoints or the aliases, and the next step.
    """
    endpoints = places.get((version.name, version.version), ())
    if endpoints:
        raise Refused(
            f"{version.reference} can't be {what}: it is deployed at {', '.join(endpoints)}",
            hint=f"Run %undeploy {endpoints[0]} first, or deploy another version in its place.",
        )
    if version.aliases:
        raise Refused(
            f"{version.reference} can't be {what}: it holds the alias {', '.join(version.aliases)}",
            hint=f"Give the alias to another version first: %promote {version.name}/N {version.aliases[0]}",
        )


def check_trust(version: StoredVersion, home: Path) -> None:
    """Refuse a version whose loading would run code that this workspace did not register.

    What this workspace registered bears its seal; a pickle that came as a file bears it too, but was made elsewhere.

    Raises
    ------
    Untrusted
    """
    own = version.own
    if not integrity.sealed(home, own.get("digest", ""), own.get("seal", "")):
        because = "it was not registered from this workspace"
    elif own.get("kind") == kinds.FILES and own.get("pickles"):
        because = f"{own['pickles']} is a pickle that was made elsewhere"
    else:
        return
    raise Untrusted(
        f"{version.reference} was not loaded: {because}, and loading it would run the code it holds",
        hint="If you know where it comes from, say so with --trust (trust=True).",
    )
