"""Reads a bundle: the content-addressed folder that holds a model and all that serves it."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .errors import ServingError
from .signature import Signature, parse_signature

FORMAT = 1
CELLS = "sources.json"
CPU = "CPUExecutionProvider"
GRAPHS = ("onnx", "hybrid")  # runtimes that run a graph in ONNX Runtime
RUNTIMES = ("onnx", "sklearn", "pyfunc", "hybrid")


class ModelFile(msgspec.Struct, frozen=True):
    """Where the model lies in the bundle and how it was written.

    Attributes
    ----------
    path : str
    serialization : str
        How the pickled object was written: ``skops`` or ``cloudpickle``; empty where there is none.
    trusted : list of str
        Types that skops may make of it.
    preprocessing : str
        Where the pipeline lies whose preprocessing stands before the graph in `path`; empty for any other runtime.
    """

    path: str
    serialization: str = ""
    trusted: list[str] = []
    preprocessing: str = ""


class OnnxInput(msgspec.Struct, frozen=True):
    """One input of the ONNX graph and the column, or columns, that feed it; None means all of them, side by side."""

    name: str
    column: str | list[str] | None = None
    dtype: str = "float32"
    shape: list[Any] = []


class OnnxOutputs(msgspec.Struct, frozen=True):
    """How the ONNX graph is fed and which outputs hold labels and probabilities."""

    inputs: list[OnnxInput]
    label_output: str | None = None
    probability_output: str | None = None


class Manifest(msgspec.Struct, frozen=True):
    """``bundle.json``; `provider` is ONNX Runtime's name of what it computes on, empty for the CPU."""

    format: int
    runtime: str
    model: ModelFile
    signature: dict[str, Any]
    files: dict[str, str]
    environment_id: str = ""
    serving_environment_id: str = ""
    python: str = ""
    onnx: OnnxOutputs | None = None
    provider: str = ""
    code: list[str] = []
    assets: list[str] = []


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and whose files matched their digests."""

    path: Path
    digest: str
    manifest: Manifest
    signature: Signature

    @property
    def model_path(self) -> Path:
        return self.path / self.manifest.model.path

    @property
    def provider(self) -> str:
        """ONNX Runtime's name of what computes the model; empty where that is not ONNX Runtime."""
        return provider_of({"runtime": self.manifest.runtime, "provider": self.manifest.provider})


def provider_of(manifest: Mapping[str, Any]) -> str:
    """Return what computes the model of a bundle with this manifest; empty where that is not ONNX Runtime."""
    return str(manifest.get("provider") or CPU) if manifest.get("runtime") in GRAPHS else ""


def show_cells(bundle: Bundle) -> None:
    """Let tracebacks show the lines of notebook cells that the bundle's model comes from.

    Python looks for the text of code by the name that it was compiled under, and no file has that of a cell. Where the
    cell itself is known, in the very kernel, it stays.
    """
    if CELLS not in bundle.manifest.files:
        return
    for name, text in msgspec.json.decode((bundle.path / CELLS).read_bytes(), type=dict[str, str]).items():
        # Without a time of change nobody looks for a file of that name.
        linecache.cache.setdefault(name, (len(text), None, text.splitlines(keepends=True), name))


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check every file against its digest.

    Raises
    ------
    ServingError
        ``invalid_bundle`` when the folder is no bundle of a known format, ``corrupt_bundle`` when a file is missing
        or differs from what was packaged.
    """
    try:
        content = (path / "bundle.json").read_bytes()
    except OSError as error:
        raise ServingError("invalid_bundle", f"{path} holds no readable bundle.json ({error.strerror})") from error
    manifest = _parse(content)
    _check_files(path, manifest)
    # bundle.json is written in its RFC 8785 form, so its bytes are what the digest is taken of.
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    return Bundle(path, digest, manifest, parse_signature(manifest.signature))


def _parse(content: bytes) -> Manifest:
    try:
        version = msgspec.json.decode(content, type=dict[str, Any]).get("format")
        if version != FORMAT:
            raise ServingError("invalid_bundle", f"bundle.json has format {version!r}; this server reads {FORMAT}")
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise ServingError("invalid_bundle", f"bundle.json can't be read: {error}") from error
    if manifest.runtime not in RUNTIMES:
        raise ServingError("invalid_bundle", f"bundle.json names runtime {manifest.runtime!r}, not one of {RUNTIMES}")
    return manifest


def _check_files(path: Path, manifest: Manifest) -> None:
    for name, expected in manifest.files.items():
        try:
            with (path / name).open("rb") as stream:
                found = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ServingError("corrupt_bundle", f"{name} is missing or unreadable ({error.strerror})") from error
        if found != expected:
            raise ServingError("corrupt_bundle", f"{name} has digest {found}, expected {expected}; package it again")
