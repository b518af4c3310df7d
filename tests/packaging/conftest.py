from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbmlops.conversion import OnnxModel

ENVIRONMENT = {
    "id": "sha256:" + "e" * 64,
    "python": "3.11",
    "packages": [
        {"name": "numpy", "version": "1.2.3", "origin": "index", "url": "", "commit": "", "scope": "model"},
        {"name": "house", "version": "0.1", "origin": "vcs", "url": "git+u", "commit": "abc", "scope": "model"},
        {"name": "jupyterlab", "version": "4.0", "origin": "index", "url": "", "commit": "", "scope": "kernel"},
    ],
}
SIGNATURE = {
    "inputs": [{"name": "wind", "type": "double", "required": True, "nullable": False}],
    "outputs": None,
    "task": "classification",
    "classes": ["late", "on time"],
    "example": {"columns": ["wind"], "data": [[1.5]]},
}


@dataclass
class Models:
    """Stands for the registry: one version in a folder."""

    folder: Path
    signature_: dict[str, Any] = field(default_factory=lambda: SIGNATURE)
    captured_: dict[str, Any] = field(default_factory=lambda: {"environment": ENVIRONMENT})

    def model_folder(self, ref: str) -> Path:
        return self.folder

    def signature(self, ref: str) -> dict[str, Any]:
        return self.signature_

    def captured(self, ref: str) -> dict[str, Any]:
        return self.captured_


FLAVORS = {
    "sklearn": {
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl", "code": "code"},
        "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle", "code": "code"},
    },
    "python": {
        "python_function": {
            "loader_module": "mlflow.pyfunc.model",
            "python_model": "model.pkl",
            "artifacts": {"words": {"path": "artifacts/words.txt", "uri": "/home/somebody/words.txt"}},
        }
    },
    "onnx": {
        "python_function": {"loader_module": "mlflow.onnx", "data": "model.onnx"},
        "onnx": {"data": "model.onnx"},
    },
    "files": {"nbmlops": {"kind": "files"}},
}
FILES = {
    "model.pkl": b"pickle",
    "model.onnx": b"onnx",
    "model.onnx.data": b"weights",
    "code/house/rules.py": b"LIMIT = 3\n",
    "code/__pycache__/rules.pyc": b"cache",
    "artifacts/words.txt": b"a b c",
    "assets/labels.txt": b"late",
    "assets/vocabulary/en.txt": b"on time",
    "input_example.json": b"[[1.5]]",
    "serving_input_example.json": b"{}",
    "requirements.txt": b"numpy==1.2.3\n",
    "registered_model_meta": b"left by a reader",
}


@pytest.fixture
def make_models(tmp_path: Path) -> Callable[..., Models]:
    """Lay out an MLflow model folder of a kind, saved by the run of that name."""

    def make(kind: str = "sklearn", *, run: str = "1") -> Models:
        folder = tmp_path / f"run-{run}" / "model"
        for name, content in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        facts = {
            "flavors": FLAVORS[kind],
            "mlflow_version": "3.17.2",
            "run_id": run,
            "model_id": f"m-{run}",
            "model_uuid": f"u-{run}",
            "artifact_path": f"file:///{run}",
            "model_size_bytes": len(run),
            "utc_time_created": f"2026-01-01 {run}",
        }
        (folder / "MLmodel").write_text(yaml.safe_dump(facts))
        return Models(folder)

    return make


@pytest.fixture
def onnx() -> OnnxModel:
    """A converted model; nothing here looks inside it."""
    inputs = ({"name": "wind", "column": "wind", "dtype": "float32", "shape": [-1, 1]},)
    return OnnxModel(b"converted", "skl2onnx", inputs, "label", "probabilities", 18)
