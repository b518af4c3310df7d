"""A reference resolved to the version that it names, or an error with the nearest names."""

from __future__ import annotations

from nbmlops.core.errors import NotFound
from nbmlops.core.references import ModelReference, nearest
from nbmlops.registry.records import StoredVersion
from nbmlops.registry.versions import Versions

SHOWN = 10


def find(versions: Versions, ref: str | ModelReference) -> StoredVersion:
    """Return the version that `ref` names.

    Raises
    ------
    NotFound
        With the nearest names, the known aliases or the newest numbers.
    """
    parsed = ref if isinstance(ref, ModelReference) else ModelReference.parse(ref)
    if parsed.version is not None:
        found = versions.one(parsed.name, parsed.version)
        if found is not None:
            return found
    known = versions.all(parsed.name)
    if not known:
        raise _unknown_name(versions, parsed.name)
    if parsed.alias is not None:
        return _by_alias(parsed, known)
    if parsed.version is not None:
        numbers = ", ".join(str(version.version) for version in known[-SHOWN:])
        raise NotFound(f"{parsed.name} has no version {parsed.version}", expected=f"one of {numbers}")
    return known[-1]


def _unknown_name(versions: Versions, name: str) -> NotFound:
    names = sorted({version.name for version in versions.all()})
    if not names:
        return NotFound(f"no model is named {name!r}", hint="Nothing is registered yet: use %register_model.")
    near = nearest(name, names)
    return NotFound(f"no model is named {name!r}", expected=None if near else f"one of {_listed(names)}", hint=near)


def _by_alias(parsed: ModelReference, known: list[StoredVersion]) -> StoredVersion:
    for version in known:
        if parsed.alias in version.aliases:
            return version
    aliases = sorted({alias for version in known for alias in version.aliases})
    raise NotFound(
        f"{parsed.name} has no alias {parsed.alias!r}",
        expected=f"one of {_listed(aliases)}" if aliases else "a version number: it has no aliases yet",
        hint=nearest(str(parsed.alias), aliases),
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
