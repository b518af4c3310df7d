"""Which versions are deployed where, as the journal's projection says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbmlops.journal import Journal

GONE = ("deleted",)


def deployed(journal: Journal) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return (name, version) -> endpoints that hold it, with traffic or ready for a rollback."""
    from nbmlops.journal import endpoints

    places: dict[tuple[str, int], set[str]] = {}
    for state in endpoints(journal.events("endpoint.*")).values():
        if state.status in GONE:
            continue
        held = set(state.traffic) | {str(arm["version"]) for arm in state.arms if "version" in arm}
        for version in held:
            if version.isdecimal():
                places.setdefault((state.model, int(version)), set()).add(state.name)
    return {key: tuple(sorted(names)) for key, names in places.items()}
