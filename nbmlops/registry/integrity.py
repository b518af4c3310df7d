"""What was registered here and has not changed since: content digests, and this workspace's seal on them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt

FILES = "files.json"
KEY = "registry.key"
# MLflow writes the first into a folder that it loads from; Python the second where it imports shipped code.
MADE_BY_READERS = ("registered_model_meta", "__pycache__")


def list_files(folder: Path) -> dict[str, str]:
    """Return path -> digest of the files that belong to a model folder."""
    return {name: digest for name, digest in digests.tree(folder).items() if not _passed_over(name)}


def _passed_over(name: str) -> bool:
    return any(part in MADE_BY_READERS for part in name.split("/"))


def write(files: Mapping[str, str], folder: Path) -> str:
    """Write the list of files and return the digest over all of them."""
    (folder / FILES).write_bytes(digests.canonical(dict(files)))
    return digests.of_tree(files)


def check(folder: Path, listed: Path, *, digest: str, reference: str) -> None:
    """Compare every file in `folder` with its digest at registration.

    Raises
    ------
    Corrupt
        Naming the file that is missing, changed or additional.
    """
    hint = "Restore it from a copy, or register the model again."
    try:
        files = json.loads((listed / FILES).read_bytes())
    except (OSError, ValueError) as error:
        raise Corrupt(f"{reference}: its list of files can't be read", hint=hint) from error
    if digests.of_tree(files) != digest:
        raise Corrupt(f"{reference}: its list of files does not match the digest it was registered with", hint=hint)
    found = list_files(folder)
    for name in sorted(files.keys() | found.keys()):
        if name not in found:
            raise Corrupt(f"{reference}: the file {name} is missing from {folder}", hint=hint)
        if name not in files:
            raise Corrupt(f"{reference}: the file {name} was added after registration", hint=f"Remove {folder / name}.")
        if files[name] != found[name]:
            raise Corrupt(
                f"{reference}: the file {name} was changed after registration",
                expected=files[name],
                hint=hint,
            )


def seal(home: Path, digest: str) -> str:
    """Return this workspace's seal on a digest: proof that it was registered here."""
    return hmac.new(_key(home), digest.encode(), hashlib.sha256).hexdigest()


def sealed(home: Path, digest: str, mark: str) -> bool:
    """Tell whether `mark` is this workspace's seal on `digest`."""
    return bool(mark) and hmac.compare_digest(seal(home, digest), mark)


def _key(home: Path) -> bytes:
    path = home / KEY
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    draft = path.with_name(f"{KEY}.{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(secrets.token_bytes(32))
    try:
        os.link(draft, path)  # of several processes that start at once, the first one's key stays
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_bytes()
