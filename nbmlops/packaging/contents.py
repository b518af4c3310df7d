"""What goes into a bundle: pure plans, made before a byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785
import yaml

from nbmlops.capture.distributions import canonical
from nbmlops.core import digests
from nbmlops.core.errors import InvalidObject
from nbmlops.packaging.lock import lock
from nbmlops.packaging.wheels import wheels_of
from nbmlops.registry import mlmodel
from nbmlops.serving import source_files

if TYPE_CHECKING:
    from nbmlops.conversion import OnnxModel

FORMAT = 1
"""Version of the bundle's layout. A reader refuses a higher one; a field that old readers must not miss raises it."""

CELLS = "sources.json"
"""Where a bundle keeps the text of notebook cells: the name that Python gave to each -> its lines."""

GRAPH = "model.onnx"
"""Where a bundle keeps a converted model."""

LOCK = "requirements.lock"
"""Exact pins, in pip's syntax, of all that the bundle's server needs; paths in it begin at the bundle."""

Source = Path | bytes

# MLflow writes these anew with every save: in a bundle they would give the same content another digest.
VOLATILE = (
    "artifact_path",
    "model_id",
    "model_size_bytes",
    "model_uuid",
    "prompts",
    "run_id",
    "saved_input_example_info",
    "utc_time_created",
)
# Not part of what serves: examples are the user's data, MLmodel and assets go in by themselves, and MLflow leaves the
# last one behind wherever it loads from.
LEFT_OUT = ("MLmodel", "assets", "input_example.json", "serving_input_example.json", "registered_model_meta")


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
    folder: Path,
    signature: Mapping[str, Any],
    captured: Mapping[str, Any],
    *,
    onnx: OnnxModel | None = None,
    provider: str = "",
) -> Contents:
    """Plan the bundle of a registered version.

    Parameters
    ----------
    folder : pathlib.Path
        The version's MLflow model folder.
    signature, captured : mapping
        As the registry stored them. A version that MLflow alone registered has its own signature.
    onnx : OnnxModel, optional
        The converted model to serve instead of the fitted object.
    provider : str
        What computes a version that was in ONNX already.
    """
    described = yaml.safe_load((folder / "MLmodel").read_text())
    model = _fitted(folder, described) if onnx is None else _converted(onnx, folder, described)
    known = signature or mlmodel.signature(described)
    environment = captured.get("environment") or {}
    locked = lock(environment, model.runtime, serialization=model.facts.get("serialization", ""))
    wheels = wheels_of(locked.packages, folder / "code", environment)
    assets = _below(folder, "assets", "assets")
    sources: dict[str, Source] = {
        **model.sources,
        **_cells(captured, model.runtime),
        **_island(),
        **assets,
        **{wheel.place: wheel.content for wheel in wheels},
        LOCK: locked.with_wheels({wheel.package: wheel.place for wheel in wheels}).encode(),
    }
    manifest = {
        "format": FORMAT,
        "runtime": model.runtime,
        "model": model.facts,
        "signature": _canonical_signature(known if onnx is None else onnx.served(known)),
        "environment_id": environment.get("id", ""),
        "serving_environment_id": locked.id,
        "python": locked.python,
        "commits": {canonical(one.name): one.commit for one in locked.packages if one.commit},
        "onnx": None if onnx is None else onnx.interface(),
        "provider": provider if onnx is None else onnx.provider,
        "code": list(model.code),
        "assets": sorted({"/".join(name.split("/")[:2]) for name in assets}),
        "files": {name: _digest(source) for name, source in sorted(sources.items())},
    }
    return Contents(manifest=manifest, sources=sources)


def _digest(source: Source) -> str:
    return digests.of_bytes(source) if isinstance(source, bytes) else digests.of_file(source)


def _converted(onnx: OnnxModel, folder: Path, mlmodel: Mapping[str, Any]) -> _Model:
    if onnx.runtime == "hybrid":
        return _hybrid(onnx, folder, mlmodel)
    return _Model("onnx", {"path": GRAPH}, {GRAPH: onnx.content})


def _hybrid(onnx: OnnxModel, folder: Path, mlmodel: Mapping[str, Any]) -> _Model:
    """Serve the preprocessing from the pipeline's own file: pickled anew, it would have other bytes each time."""
    pipeline = _fitted(folder, mlmodel)
    if pipeline.runtime != "sklearn":
        raise InvalidObject(
            f"this version is saved for the {pipeline.runtime} runtime",
            expected="a pipeline in a file of its own, whose preprocessing can be kept outside of ONNX",
        )
    facts = {**pipeline.facts, "path": GRAPH, "preprocessing": pipeline.facts["path"]}
    return _Model("hybrid", facts, {**pipeline.sources, GRAPH: onnx.content}, pipeline.code)


def _fitted(folder: Path, mlmodel: Mapping[str, Any]) -> _Model:
    """Serve ONNX and scikit-learn's files without MLflow, anything else through it."""
    flavors = mlmodel.get("flavors") or {}
    if "python_function" not in flavors:
        raise InvalidObject(
            "this version can't be served: it has no predict",
            expected="a model with predict, a function, or an ONNX file",
            hint="Get its files back with %download.",
        )
    if "onnx" in flavors:
        return _Model("onnx", {"path": f"model/{flavors['onnx']['data']}"}, _model_files(folder))
    if "sklearn" in flavors:
        return _estimator(folder, flavors["sklearn"])
    files = {**_model_files(folder), "model/MLmodel": _steady(mlmodel)}
    return _Model("pyfunc", {"path": "model"}, files, _code(flavors["python_function"]))


def _estimator(folder: Path, flavor: Mapping[str, Any]) -> _Model:
    name = flavor["pickled_model"]
    facts = {
        "path": f"model/{name}",
        "serialization": flavor.get("serialization_format") or "cloudpickle",
        "trusted": sorted(flavor.get("skops_trusted_types") or []),
    }
    code = _below(folder, flavor["code"], f"model/{flavor['code']}") if flavor.get("code") else {}
    return _Model("sklearn", facts, {f"model/{name}": folder / name, **code}, _code(flavor))


def _model_files(folder: Path) -> dict[str, Source]:
    return {name: path for name, path in _below(folder, "", "model").items() if name.split("/")[1] not in LEFT_OUT}


def _code(flavor: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"model/{flavor['code']}",) if flavor.get("code") else ()


def _below(root: Path, inside: str, place: str) -> dict[str, Source]:
    """Return the files below ``root/inside`` by their paths below `place` in the bundle."""
    top = root / inside
    files = (path for path in sorted(top.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {f"{place}/{path.relative_to(top).as_posix()}": path for path in files}


def _steady(mlmodel: Mapping[str, Any]) -> bytes:
    """Return MLmodel without what differs from one save to the next."""
    kept = {key: value for key, value in mlmodel.items() if key not in VOLATILE}
    for artifact in (kept["flavors"]["python_function"].get("artifacts") or {}).values():
        artifact["uri"] = artifact["path"]
    return yaml.safe_dump(kept, sort_keys=True).encode()


def _cells(captured: Mapping[str, Any], runtime: str) -> dict[str, Source]:
    """Return the text of the cells that the model's functions come from; an ONNX graph has none."""
    texts = captured.get("sources") or {}
    return {CELLS: rfc8785.dumps(dict(texts))} if texts and runtime != "onnx" else {}


def _island() -> dict[str, Source]:
    """Return the serving island's source, which a bundle carries so that it runs wherever Python does."""
    return {f"nbmlops_serving/{name}": path for name, path in source_files().items()}


def _canonical_signature(signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return `signature`, without its example where RFC 8785 can't write that (a NaN, an integer beyond 2**53)."""
    try:
        rfc8785.dumps(dict(signature))
    except rfc8785.CanonicalizationError:
        return {**signature, "example": None}
    return dict(signature)
