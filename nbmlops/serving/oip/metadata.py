"""What the server and its models say of themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import __version__
from ..bundle import Bundle
from ..signature import Signature, TensorSpec
from ..tensors import dtype_of
from .answers import LABELS, PROBABILITIES
from .arrays import PREFERRED
from .datatypes import datatype_of

EXTENSIONS = ("binary_tensor_data", "parameters")
PLATFORMS = {
    "onnx": "onnxruntime_onnx",
    "sklearn": "sklearn",
    "pyfunc": "mlflow_pyfunc",
    "hybrid": "sklearn_onnxruntime",
}
SINGLE = "input-0"  # of a model that takes one tensor, which has no name of its own
Tensor = dict[str, Any]


def server_metadata() -> dict[str, Any]:
    """Return the answer of ``GET /v2``."""
    return {"name": "nbmlops", "version": __version__, "extensions": EXTENSIONS}


def model_metadata(name: str, versions: Sequence[str], *, bundle: Bundle, outputs: Sequence[str]) -> dict[str, Any]:
    """Return the answer of ``GET /v2/models/NAME``.

    Parameters
    ----------
    name : str
    versions : sequence of str
    bundle : Bundle
        Of the version that is described.
    outputs : sequence of str
        What it can answer: ``label``, ``probabilities``, ``both``.
    """
    return {
        "name": name,
        "versions": list(versions),
        "platform": PLATFORMS.get(bundle.manifest.runtime, bundle.manifest.runtime),
        "inputs": input_tensors(bundle.signature),
        "outputs": output_tensors(bundle, outputs),
    }


def input_tensors(signature: Signature) -> list[Tensor]:
    """Return the tensors that a model takes; none are known where it has no signature."""
    if signature.columns is not None:
        return [_described(column.name, PREFERRED[column.type], [-1, 1]) for column in signature.columns]
    if signature.tensor is not None:
        return [_of_spec(signature.tensor, SINGLE)]
    return [_of_spec(spec, spec.name) for spec in signature.tensors or ()]


def output_tensors(bundle: Bundle, outputs: Sequence[str]) -> list[Tensor]:
    """Return the tensors that a model answers, as far as it is known before it does."""
    signature = bundle.signature
    if answers_by_name(bundle) is None:
        return []
    label = label_datatype(signature)
    found = [] if label is None else [_described(LABELS, label, _label_shape(signature))]
    if "probabilities" in outputs:
        tensor = _described(PROBABILITIES, "FP64", [-1, len(signature.classes) if signature.classes else -1])
        if signature.classes:
            tensor["parameters"] = {"classes": json.dumps(signature.classes)}
        found.append(tensor)
    return found


def answers_by_name(bundle: Bundle) -> tuple[str, str] | None:
    """Return the names of labels and probabilities; None where a model may answer anything under any name."""
    onnx = bundle.manifest.onnx
    fixed = bundle.manifest.runtime == "sklearn" or (onnx is not None and onnx.label_output is not None)
    return (LABELS, PROBABILITIES) if fixed else None


def label_datatype(signature: Signature) -> str | None:
    """Return the datatype of a model's labels as its signature or its classes say; None where neither does."""
    declared = signature.outputs
    if isinstance(declared, list) and len(declared) == 1 and declared[0].get("type") in PREFERRED:
        return PREFERRED[declared[0]["type"]]
    if isinstance(declared, dict) and "tensor" in declared:
        return datatype_of(dtype_of(TensorSpec(declared["tensor"]["dtype"], [])))
    if signature.classes:
        return datatype_of(np.array(signature.classes).dtype)
    return "FP64" if signature.task == "regression" else None


def _label_shape(signature: Signature) -> list[int]:
    declared = signature.outputs
    return list(declared["tensor"]["shape"]) if isinstance(declared, dict) and "tensor" in declared else [-1]


def _of_spec(spec: TensorSpec, name: str) -> Tensor:
    return _described(name, datatype_of(dtype_of(spec)), list(spec.shape))


def _described(name: str, datatype: str, shape: list[int]) -> Tensor:
    return {"name": name, "datatype": datatype, "shape": shape}
