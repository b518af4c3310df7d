"""A bundle's assets, found by the relative paths by which the notebook opened them."""

from __future__ import annotations

import os
from pathlib import Path

ASSETS = "assets"


def enter(bundle: Path, beside: Path | None = None) -> None:
    """Make the folder with the bundle's assets the current one; without assets, nothing changes.

    Parameters
    ----------
    bundle : pathlib.Path
        The bundle's folder.
    beside : pathlib.Path, optional
        A folder to link the assets into, so that what the model writes is not written into the bundle.
    """
    source = bundle.absolute() / ASSETS
    if not source.is_dir():
        return
    os.chdir(source if beside is None else _linked(source, beside / f"{ASSETS}-{bundle.name[:12]}"))


def _linked(source: Path, target: Path) -> Path:
    """Return `target`, which has a link for every file of `source`; several workers may make it at once."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            draft = place.with_name(f".{place.name}.{os.getpid()}")
            draft.symlink_to(path)
            draft.replace(place)
    return target
