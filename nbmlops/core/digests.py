"""Digests of files, folders and plain data: ``sha256:`` and 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

PREFIX = "sha256:"


def of_bytes(content: bytes) -> str:
    return PREFIX + hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> str:
    """Return the digest of a file's content, read in blocks."""
    with path.open("rb") as stream:
        return PREFIX + hashlib.file_digest(stream, "sha256").hexdigest()


def of_json(value: Any) -> str:
    """Return the digest of plain data in its RFC 8785 canonical form."""
    return of_bytes(canonical(value))


def canonical(value: Any) -> bytes:
    """Return plain data as RFC 8785 canonical JSON."""
    return rfc8785.dumps(value)


def tree(folder: Path) -> dict[str, str]:
    """Return relative POSIX path -> digest of every file below `folder`, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): of_file(path) for path in files}


def of_tree(files: Mapping[str, str]) -> str:
    """Return one digest over a mapping of path to digest."""
    return of_json(dict(files))
