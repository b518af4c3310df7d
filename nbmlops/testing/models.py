"""Tiny models in real bundles: something to deploy that costs nothing to load and is easy to tell apart."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nbmlops.core.workspace import Workspace
from nbmlops.deployment import ArmSpec

MODEL = "offset"
Captured = dict[str, Any]  # as the registry stores it: `environment`, …
SIGNATURE: dict[str, Any] = {
    "inputs": [{"name": "x", "type": "double", "required": True, "nullable": False}],
    "outputs": [{"name": "y", "type": "double", "required": True, "nullable": False}],
    "task": "regression",
    "classes": None,
    "example": None,
}


@dataclass(frozen=True)
class OneVersion:
    """What packaging asks of a registry, for one version that is in no registry.

    Attributes
    ----------
    folder : pathlib.Path
        A model folder as MLflow writes it.
    facts : dict
        The version's signature.
    capture : dict
        What was captured of it.
    """

    folder: Path
    facts: dict[str, Any]
    capture: dict[str, Any] = field(default_factory=dict)

    def model_folder(self, ref: str) -> Path:
        """Return the model's folder."""
        return self.folder

    def signature(self, ref: str) -> dict[str, Any]:
        """Return the signature."""
        return self.facts

    def captured(self, ref: str) -> dict[str, Any]:
        """Return what was captured, nothing by default."""
        return self.capture


def offset_onnx(workspace: Workspace, version: str, value: float, *, captured: Captured | None = None) -> ArmSpec:
    """Return an arm that adds `value` to column ``x``, as an ONNX bundle in the workspace."""
    from onnx import TensorProto, helper

    from nbmlops.conversion import OnnxModel
    from nbmlops.packaging import build_bundle

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "value"], ["y"])],
        "offset",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor("value", TensorProto.DOUBLE, [1], [value])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inputs = ({"name": "x", "column": "x", "dtype": "float64", "shape": [-1, 1]},)
    onnx = OnnxModel(model.SerializeToString(), "testing", inputs, "y", None, 13)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MLmodel").write_text(yaml.safe_dump({"flavors": {}}))
        models = OneVersion(Path(folder), SIGNATURE, captured or {})
        bundle = build_bundle(models, MODEL, onnx=onnx, workspace=workspace)
    return ArmSpec(version, MODEL, bundle.path, bundle.digest, bundle.runtime)


def pickled(workspace: Workspace, version: str, model: Any, *, captured: Captured | None = None) -> ArmSpec:
    """Return an arm that serves any object with ``predict`` from a pickle, in a process of its own."""
    import cloudpickle

    from nbmlops.packaging import build_bundle

    flavor = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {}, "sklearn": flavor}}))
        (Path(folder) / "model.pkl").write_bytes(cloudpickle.dumps(model))
        bundle = build_bundle(OneVersion(Path(folder), SIGNATURE, captured or {}), MODEL, workspace=workspace)
    return ArmSpec(version, MODEL, bundle.path, bundle.digest, bundle.runtime)


def offset_pickled(workspace: Workspace, version: str, value: float, *, captured: Captured | None = None) -> ArmSpec:
    """Return an arm that adds `value` to column ``x``, as a pickled object in a worker process."""

    class Offset:  # inside, so that its code is pickled with it
        def predict(self, rows: Any) -> Any:
            return rows["x"].to_numpy() + value

    return pickled(workspace, version, Offset(), captured=captured)
