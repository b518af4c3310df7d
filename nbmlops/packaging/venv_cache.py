"""Where environments are kept: in the user's cache, shared by all workspaces, each complete or not there at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nbmlops.core.identifiers import new_id
from nbmlops.core.workspace import storage_errors

FOLDER = "environments"
UNFINISHED = ".making-"
MOST = 16  # environments that are kept; those in use are never removed
SIBLINGS = 4  # environments that are looked through for compiled modules
ABANDONED_AFTER = 3600.0  # seconds; none takes this long to make
PATIENCE = 900.0  # seconds to wait for another process that makes the same one


def root() -> Path:
    """Return the folder of all environments: ``NBMLOPS_ENVIRONMENTS``, or below the user's cache."""
    named = os.environ.get("NBMLOPS_ENVIRONMENTS")
    if named:
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "nbmlops" / FOLDER


def newest() -> list[Path]:
    """Return the environments that were used last, the last one first."""
    found = [(path.stat().st_mtime, path) for path in _all(root())]
    return [path for _, path in sorted(found, reverse=True)[:SIBLINGS]]


def _all(environments: Path) -> list[Path]:
    return [path for path in environments.glob("[!.]*") if path.is_dir()]  # none where nothing was ever made


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold an environment against other makers; tells whether it is there already, and notes that it is used."""
    from filelock import FileLock

    with storage_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock", timeout=PATIENCE):
            whole = _is_whole(folder)
            if whole:
                os.utime(folder)
            elif folder.exists():
                shutil.rmtree(folder)
            yield whole


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Give a folder to fill; it becomes `folder` when that worked, and is removed when it did not."""
    _sweep(folder.parent)
    unfinished = folder.parent / f"{UNFINISHED}{new_id()}"
    try:
        yield unfinished
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether the environment is there and its interpreter still is (a system's Python may have been replaced)."""
    return (folder / "nbmlops.json").is_file() and (folder / "bin" / "python").exists()


def _sweep(environments: Path) -> None:
    """Remove what was left half made, and the environments that were not used for longest."""
    for left in environments.glob(f"{UNFINISHED}*"):
        with suppress(FileNotFoundError):  # its maker may just have finished
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(left, ignore_errors=True)
    kept = _all(environments)
    if len(kept) < MOST:
        return
    used = _in_use()
    oldest = sorted((path.stat().st_mtime, path) for path in kept if str(path) not in used)
    for _, path in oldest[: len(kept) - MOST + 1]:
        shutil.rmtree(path, ignore_errors=True)


def _in_use() -> set[str]:
    """Return the environments whose interpreter runs now."""
    import psutil

    found = set()
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or [""]
        found.add(str(Path(command[0]).parent.parent))
    return found
