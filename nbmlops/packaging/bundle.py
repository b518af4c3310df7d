"""Build a version's bundle, find it again by its digest, and check that nothing in it changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, InvalidObject
from nbmlops.core.identifiers import new_id
from nbmlops.core.progress import stage
from nbmlops.core.records import Record, frozen_map
from nbmlops.core.workspace import Workspace, storage_errors
from nbmlops.packaging.contents import FORMAT, Contents, Source, plan

if TYPE_CHECKING:
    from nbmlops.conversion import OnnxModel

MANIFEST = "bundle.json"
UNFINISHED = ".building-"
ABANDONED_AFTER = 3600.0  # seconds; no build takes this long, so what is older was left by a killed process


class Models(Protocol):
    """What is asked of the registry (`nbmlops.registry.Registry`, or a fake of it)."""

    def model_folder(self, ref: str) -> Path: ...

    def signature(self, ref: str) -> dict[str, Any]: ...

    def captured(self, ref: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Bundle(Record):
    """A bundle on disk.

    Attributes
    ----------
    path : pathlib.Path
        The folder; its name is the digest's hexadecimal part.
    digest : str
        ``sha256:…`` of ``bundle.json`` in RFC 8785 form, which itself holds the digest of every other file.
    runtime : str
        ``onnx``, ``sklearn``, ``pyfunc`` or ``hybrid``.
    manifest : mapping
        The content of ``bundle.json``.
    """

    path: Path
    digest: str
    runtime: str
    manifest: Mapping[str, Any]


def build_bundle(
    models: Models, ref: str, *, onnx: OnnxModel | None = None, workspace: Workspace, provider: str = ""
) -> Bundle:
    """Return the bundle of `ref`, building it where the workspace does not hold it yet.

    The same content gives the same digest and so the same folder, however often and from wherever it is built; two
    builders at once are safe. A build that fails leaves nothing.

    Parameters
    ----------
    models : Registry
        Where the version's files, signature and environment are read from.
    ref : str
        ``name/3``, ``name@alias`` or ``name``.
    onnx : OnnxModel, optional
        A converted model that proved to agree with the fitted one; it is then served in its place.
    workspace : Workspace
    provider : str
        What computes a version that was in ONNX already; a converted model knows its own.

    Raises
    ------
    Corrupt
        A file of the version, or of the bundle that is already there, does not match its digest.
    StorageError
        The workspace can't be written, or is full.
    """
    stage("writing the bundle")
    folder = models.model_folder(ref)
    contents = plan(folder, models.signature(ref), models.captured(ref), onnx=onnx, provider=provider)
    text = digests.canonical(contents.manifest)
    digest = digests.of_bytes(text)
    with storage_errors(workspace.bundles):
        workspace.bundles.mkdir(parents=True, exist_ok=True)
        _sweep(workspace.bundles)
        folder = workspace.bundles / digest.removeprefix(digests.PREFIX)
        if not folder.exists():
            _write(folder, contents, text)
    return verify(folder)


def read_bundle(path: Path) -> Bundle:
    """Return the bundle in `path`, its manifest checked against the folder's name and its files unread.

    Raises
    ------
    Corrupt
        ``bundle.json`` is missing, unreadable, or was changed.
    InvalidObject
        Another version of nbmlops wrote it in another format.
    """
    manifest = path / MANIFEST
    try:
        text = manifest.read_bytes()
        facts = json.loads(text)
    except (OSError, ValueError) as error:
        raise _corrupt(path, MANIFEST, "is missing or unreadable") from error
    digest = digests.of_bytes(text)
    if path.name != digest.removeprefix(digests.PREFIX):
        raise _corrupt(path, MANIFEST, f"was changed: it has the digest {digest}")
    if facts["format"] != FORMAT:
        raise InvalidObject(
            f"bundle {path.name[:12]} has format {facts['format']}",
            expected=f"format {FORMAT}",
            hint="Use the nbmlops that wrote it, or deploy again with this one.",
        )
    return Bundle(path=path, digest=digest, runtime=facts["runtime"], manifest=frozen_map(facts))


def verify(bundle: Bundle | Path) -> Bundle:
    """Read every file of a bundle and compare it with the digest that the bundle records.

    Python's own ``__pycache__`` folders are passed over: importing the bundled code makes them.

    Raises
    ------
    Corrupt
        Naming the file that is missing, changed, or does not belong there.
    """
    known = read_bundle(bundle.path if isinstance(bundle, Bundle) else bundle)
    recorded: dict[str, str] = known.manifest["files"]
    present = {name for name in _files(known.path) if name != MANIFEST}
    for name in sorted(recorded.keys() | present):
        if name not in present:
            raise _corrupt(known.path, name, "is missing")
        if name not in recorded:
            raise _corrupt(known.path, name, "does not belong to it")
        if digests.of_file(known.path / name) != recorded[name]:
            raise _corrupt(known.path, name, "was changed")
    return known


def _files(folder: Path) -> list[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return [path.as_posix() for path in found if "__pycache__" not in path.parts]


def _corrupt(folder: Path, name: str, what: str) -> Corrupt:
    return Corrupt(
        f"bundle {folder.name[:12]}: {name} {what}",
        expected="the content that the bundle's digest names",
        hint=f"Remove the folder {folder} and deploy again: the bundle is built anew from the registry.",
    )


def _write(folder: Path, contents: Contents, text: bytes) -> None:
    """Write everything beside `folder`, then rename: a reader sees the whole bundle or none."""
    unfinished = folder.parent / f"{UNFINISHED}{new_id()}"
    try:
        unfinished.mkdir()
        for name, source in contents.sources.items():
            _place(source, unfinished / name, contents.manifest["files"][name])
        _place(text, unfinished / MANIFEST, digests.of_bytes(text))
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another builder was faster, with the same content
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _place(source: Source, target: Path, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, bytes):
        target.write_bytes(source)
    else:
        shutil.copyfile(source, target)
        if digests.of_file(target) != digest:
            raise Corrupt(f"{source} changed while it was copied", hint="Run it again.")
    target.chmod(0o444)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def _sweep(bundles: Path) -> None:
    for left in bundles.glob(f"{UNFINISHED}*"):
        try:
            age = time.time() - left.stat().st_mtime
        except FileNotFoundError:  # its own builder finished meanwhile
            continue
        if age > ABANDONED_AFTER:
            shutil.rmtree(left, ignore_errors=True)
