"""Installed packages put into another environment, file by file as their records list them, each checked by its hash.

The record came with the wheel: a file that matches it is the file that the index gave. So a copy stands for a fresh
install, without a network and without a cache.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbmlops.capture.distributions import Distribution
from nbmlops.core.errors import Refused

THREADS = 4  # hashing gives up the interpreter's lock
UNHASHED = (".pyc",)  # installers compile them after the record was made


@dataclass(frozen=True)
class Recorded:
    """One file of a record: its path below the folder of packages, and its hash as ``sha256=…`` or empty."""

    path: str
    hash: str


def can_copy(distribution: Distribution) -> bool:
    """Whether an installed distribution can be put elsewhere as it is.

    Conda's packages look for libraries beside their environment, and what has no record has no list of its files.
    """
    installer = distribution.folder / "INSTALLER"
    by_conda = installer.is_file() and installer.read_text("utf-8").strip() == "conda"
    return not by_conda and distribution.origin[0] == "index" and (distribution.folder / "RECORD").is_file()


def copy(distributions: Iterable[Distribution], target: Path, *, siblings: Sequence[Path] = ()) -> int:
    """Put distributions below `target`, linked where the file system allows it; return how many bytes they hold.

    Parameters
    ----------
    distributions : iterable of Distribution
    target : pathlib.Path
        The environment's folder of packages.
    siblings : sequence of pathlib.Path
        Those of other environments, whose compiled modules are taken along where the source is the very file.

    Raises
    ------
    Refused
        A file is not what its record says, or is gone; the message names the package.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(lambda one: _copy(one, target, siblings), distributions))


def _copy(distribution: Distribution, target: Path, siblings: Sequence[Path]) -> int:
    root = distribution.folder.parent
    others = [one for one in siblings if (one / distribution.folder.name).is_dir()]
    made: set[Path] = set()
    size = 0
    for file in recorded(distribution):
        source, place = root / file.path, target / file.path
        _check(distribution, source, file)
        if place.parent not in made:
            place.parent.mkdir(parents=True, exist_ok=True)
            made.add(place.parent)
        _link(source, place)
        size += source.stat().st_size
        if source.suffix == ".py":
            _compiled([source, *(one / file.path for one in others)], place, made)
    return size


def recorded(distribution: Distribution) -> Iterator[Recorded]:
    """Yield the files of a distribution's record that lie among the packages: no scripts, which lie elsewhere."""
    with (distribution.folder / "RECORD").open(encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            if row and not row[0].startswith(("..", "/")) and not row[0].endswith(UNHASHED):
                yield Recorded(row[0], row[1] if len(row) > 1 else "")


def _check(distribution: Distribution, source: Path, file: Recorded) -> None:
    algorithm, _, expected = file.hash.partition("=")
    try:
        with source.open("rb") as stream:
            found = hashlib.file_digest(stream, algorithm).digest() if algorithm else b""
    except FileNotFoundError:
        raise _changed(distribution, file, "is gone") from None
    if algorithm and base64.urlsafe_b64encode(found).rstrip(b"=").decode() != expected.rstrip("="):
        raise _changed(distribution, file, "was changed")


def _changed(distribution: Distribution, file: Recorded, what: str) -> Refused:
    pin = f"{distribution.name}=={distribution.version}"
    return Refused(
        f"{file.path} of the installed package {pin} {what} since it was installed, and a fresh install would not have "
        "that",
        expected="every file as the package's record lists it",
        hint=f"Install it again (pip install --force-reinstall --no-deps {pin}), restart the kernel, register again.",
    )


def _link(source: Path, place: Path) -> None:
    with suppress(FileExistsError):  # two distributions may list one file, as parts of a namespace do
        try:
            os.link(source, place)
        except FileExistsError:
            raise
        except OSError:  # another file system, or a file of somebody else
            shutil.copy2(source, place)  # with its time, by which Python knows what it has compiled


def _compiled(sources: Sequence[Path], place: Path, made: set[Path]) -> None:
    """Take what Python compiled of a module along: compiling NumPy anew takes a second.

    Of another environment only where the module there is the same file: its time and size, by which Python knows what
    it compiled, may be those of another version.
    """
    name = f"{place.stem}.{sys.implementation.cache_tag}.pyc"
    for source in sources:
        cached = source.parent / "__pycache__" / name
        if cached.is_file() and source.is_file() and source.samefile(sources[0]):
            folder = place.parent / "__pycache__"
            if folder not in made:
                folder.mkdir(exist_ok=True)
                made.add(folder)
            return _link(cached, folder / name)
    return None
