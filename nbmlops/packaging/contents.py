"""What goes into a bundle: pure plans, made before a byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785
import yaml

import nbmlops.serving
from nbmlops.core import digests
from nbmlops.core.errors import InvalidObject
from nbmlops.packaging.lock import lock

if TYPE_CHECKING:
    from nbmlops.conversion import OnnxModel

FORMAT = 1
"""Version of the bundle's layout. A reader refuses a higher one; a field that old readers must not miss raises it."""

Source = Path | bytes

# MLflow writes these with every save; in a bundle they would give the same content another digest.
VOLATILE = ("artifact_path", "model_id", "model_size_bytes", "model_uuid", "prompts", "run_id", "utc_time_created")
# The reference sample and the input example are the user's data: they stay in the registry.
WITHHELD = ("nbmlops/", "input_example.json", "serving_input_example.json", "MLmodel")


@dataclass(frozen=True)
class Contents:
    """A bundle that is not written yet.

    Attributes
    ----------
    manifest : mapping
        The content of ``bundle.json``.
    sources : mapping of str to (pathlib.Path or bytes)
        Path in the bundle -> the file to copy, or the content itself.
    """

    manifest: Mapping[str, Any]
    sources: Mapping[str, Source]


@dataclass(frozen=True)
class _Model:
    runtime: str
    facts: dict[str, Any]
    sources: dict[str, Source]
    code: tuple[str, ...] = ()


def plan(
    folder: Path, signature: Mapping[str, Any], captured: Mapping[str, Any], *, onnx: OnnxModel | None = None
) -> Contents:
    """Plan the bundle of a registered version.

    Parameters
    ----------
    folder : pathlib.Path
        The version's MLflow model folder.
    signature, captured : mapping
        As the registry stored them.
    onnx : OnnxModel, optional
        The converted model to serve instead of the fitted object.
    """
    mlmodel = yaml.safe_load((folder / "MLmodel").read_text())
    model = _converted(onnx) if onnx is not None else _fitted(folder, mlmodel)
    environment = captured.get("environment") or {}
    locked = lock(environment, model.runtime, serialization=model.facts.get("serialization", ""))
    assets = {f"assets/{path.name}": path for path in sorted((folder / "assets").glob("*"))}
    sources: dict[str, Source] = {
        **model.sources,
        **_island(),
        **{f"{name}": path for name, path in assets.items()},
        "requirements.lock": locked.text.encode(),
    }
    manifest = {
        "format": FORMAT,
        "runtime": model.runtime,
        "model": model.facts,
        "signature": _canonical_signature(signature),
        "environment_id": environment.get("id", ""),
        "serving_environment_id": locked.id,
        "onnx": None if onnx is None else onnx.interface(),
        "code": list(model.code),
        "assets": sorted(assets),
        "files": {name: _digest(source) for name, source in sorted(sources.items())},
    }
    return Contents(manifest=manifest, sources=sources)


def _digest(source: Source) -> str:
    return digests.of_bytes(source) if isinstance(source, bytes) else digests.of_file(source)


def _converted(onnx: OnnxModel) -> _Model:
    return _Model("onnx", {"path": "model.onnx"}, {"model.onnx": onnx.content})


def _fitted(folder: Path, mlmodel: Mapping[str, Any]) -> _Model:
    """Serve scikit-learn's pickle without MLflow where the folder holds one, anything else through MLflow."""
    flavors = mlmodel.get("flavors") or {}
    if "sklearn" in flavors:
        flavor = flavors["sklearn"]
        facts: dict[str, Any] = {
            "path": f"model/{flavor['pickled_model']}",
            "serialization": flavor.get("serialization_format") or "cloudpickle",
            "trusted": sorted(flavor.get("skops_trusted_types") or []),
        }
        files: dict[str, Source] = {facts["path"]: folder / flavor["pickled_model"]}
        code = flavor.get("code")
        return _Model("sklearn", facts, {**files, **_below(folder, code)}, _code(code))
    if "python_function" not in flavors:
        raise InvalidObject(
            "this version can't be served: it is a registered file or folder, which has no predict",
            hint="Register the fitted object itself, or use %download to get the files.",
        )
    files = {name: source for name, source in _below(folder).items() if not name.startswith(_withheld())}
    files["model/MLmodel"] = _steady(mlmodel)
    return _Model("pyfunc", {"path": "model"}, files, _code(flavors["python_function"].get("code")))


def _withheld() -> tuple[str, ...]:
    return tuple(f"model/{name}" for name in WITHHELD)


def _code(folder: str | None) -> tuple[str, ...]:
    return (f"model/{folder}",) if folder else ()


def _below(root: Path, inside: str | None = "") -> dict[str, Source]:
    if inside is None:
        return {}
    files = (path for path in sorted((root / inside).rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {f"model/{path.relative_to(root).as_posix()}": path for path in files}


def _steady(mlmodel: Mapping[str, Any]) -> bytes:
    """Return MLmodel without what differs from one save to the next."""
    kept = {key: value for key, value in mlmodel.items() if key not in VOLATILE}
    for artifact in (kept["flavors"]["python_function"].get("artifacts") or {}).values():
        artifact["uri"] = artifact["path"]
    return yaml.safe_dump(kept, sort_keys=True).encode()


def _island() -> dict[str, Source]:
    """Return the serving island's source, which a bundle carries so that it runs wherever Python does."""
    root = Path(nbmlops.serving.__path__[0])
    return {f"nbmlops_serving/{path.relative_to(root).as_posix()}": path for path in sorted(root.rglob("*.py"))}


def _canonical_signature(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return `signature`, without its example where RFC 8785 can't write that (a NaN, an integer beyond 2**53)."""
    try:
        rfc8785.dumps(dict(signature))
    except rfc8785.CanonicalizationError:
        return {**signature, "example": None}
    return dict(signature)
