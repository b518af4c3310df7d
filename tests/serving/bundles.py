"""Makes tiny bundles: a logistic regression over mixed columns, in ONNX, skops and cloudpickle, and odd models."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from pathlib import Path

import cloudpickle
import numpy as np
import onnx
import pandas as pd
import skops.io
from onnx import TensorProto, helper
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.core.digests import canonical

COLUMNS = [
    {"name": "distance", "type": "double", "required": True, "nullable": False},
    {"name": "hour", "type": "long", "required": True, "nullable": False},
    {"name": "carrier", "type": "string", "required": True, "nullable": False},
]
SIGNATURE = {
    "inputs": COLUMNS,
    "outputs": [{"name": "late", "type": "long", "required": True, "nullable": False}],
    "task": "classification",
    "classes": [0, 1],
    "example": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]},
}


def frame(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": random.uniform(100, 3000, rows),
            "hour": random.integers(0, 24, rows),
            "carrier": random.choice(["AA", "UA", "DL"], rows),
        }
    )


@lru_cache
def fitted():
    data = frame()
    labels = ((data["hour"] > 15) ^ (data["carrier"] == "UA")).astype(int)
    encode = ColumnTransformer([("n", StandardScaler(), ["distance", "hour"]), ("c", OneHotEncoder(), ["carrier"])])
    return make_pipeline(encode, LogisticRegression()).fit(data, labels)


@lru_cache
def converted() -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    inputs = [
        ("distance", FloatTensorType([None, 1])),
        ("hour", Int64TensorType([None, 1])),
        ("carrier", StringTensorType([None, 1])),
    ]
    model = to_onnx(fitted(), initial_types=inputs, options={"zipmap": False}, target_opset=17)
    return model.SerializeToString()


def write(folder: Path, files: dict[str, bytes], **manifest) -> Path:
    """Write a bundle of `files` and its manifest, as packaging does."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    document = {
        "format": 1,
        "environment_id": "sha256:" + "e" * 64,
        "serving_environment_id": "sha256:" + "f" * 64,
        "onnx": None,
        "code": [],
        "assets": [],
        "files": {name: "sha256:" + hashlib.sha256(content).hexdigest() for name, content in files.items()},
        **manifest,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bundle.json").write_bytes(canonical(document))
    return folder


def onnx_bundle(folder: Path, signature=SIGNATURE, provider: str = "") -> Path:
    inputs = [
        {"name": "distance", "column": "distance", "dtype": "float32", "shape": [-1, 1]},
        {"name": "hour", "column": "hour", "dtype": "int64", "shape": [-1, 1]},
        {"name": "carrier", "column": "carrier", "dtype": "string", "shape": [-1, 1]},
    ]
    outputs = {"inputs": inputs, "label_output": "label", "probability_output": "probabilities"}
    return write(
        folder,
        {"model.onnx": converted()},
        runtime="onnx",
        model={"path": "model.onnx"},
        signature=signature,
        onnx=outputs,
        provider=provider,
    )


def sklearn_bundle(folder: Path, estimator=None, signature=SIGNATURE, serialization="skops") -> Path:
    estimator = fitted() if estimator is None else estimator
    content = skops.io.dumps(estimator) if serialization == "skops" else cloudpickle.dumps(estimator)
    trusted = skops.io.get_untrusted_types(data=content) if serialization == "skops" else []
    name = f"model/model.{'skops' if serialization == 'skops' else 'pkl'}"
    model = {"path": name, "serialization": serialization, "trusted": trusted}
    return write(folder, {name: content}, runtime="sklearn", model=model, signature=signature)


def constant_bundle(folder: Path, value: float, inputs: dict | list | None = None) -> Path:
    """A regressor that adds `value` to the first feature; cheap to load and easy to tell apart."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["m"], axes=[1], keepdims=1),
            helper.make_node("Add", ["m", "value"], ["y"]),
        ],
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, None])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor("value", TensorProto.DOUBLE, [1], [value])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return write(
        folder,
        {"model.onnx": model.SerializeToString()},
        runtime="onnx",
        model={"path": "model.onnx"},
        signature={"inputs": inputs or [{"name": "x", "type": "double"}], "task": "regression"},
        onnx={"inputs": [{"name": "x", "column": None, "dtype": "float64"}], "label_output": "y"},
    )


MIXED = [
    {"name": "distance", "type": "double"},
    {"name": "delay", "type": "double", "nullable": True},
    {"name": "hour", "type": "long"},
    {"name": "carrier", "type": "string"},
    {"name": "weekend", "type": "boolean"},
    {"name": "sched, dep", "type": "datetime"},
    {"name": "tail", "type": "string", "required": False, "nullable": True},
    {"name": "seats", "type": "float", "required": False},
]


def mixed_bundle(folder: Path) -> Path:
    """A classifier in ONNX over columns of every kind: sigmoid of a sum, in which a null counts nothing."""
    names = [column["name"] for column in MIXED]
    kinds = {"string": TensorProto.STRING, "long": TensorProto.INT64}
    types = {column["name"]: kinds.get(column["type"], TensorProto.DOUBLE) for column in MIXED}
    nodes, terms = [], []
    for number, name in enumerate(names):
        plain = f"plain{number}"
        if types[name] == TensorProto.STRING:
            keys = {"keys_strings": ["AA", "UA"], "values_floats": [1.0, 2.0], "default_float": 0.0}
            nodes.append(helper.make_node("LabelEncoder", [name], [f"f{number}"], domain="ai.onnx.ml", **keys))
            nodes.append(helper.make_node("Cast", [f"f{number}"], [plain], to=TensorProto.DOUBLE))
        else:
            nodes.append(helper.make_node("Cast", [name], [plain], to=TensorProto.DOUBLE))
        nodes.append(helper.make_node("IsNaN", [plain], [f"none{number}"]))
        nodes.append(helper.make_node("Where", [f"none{number}", "zero", plain], [f"term{number}"]))
        terms.append(f"term{number}")
    nodes += [
        helper.make_node("Sum", terms, ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info(name, types[name], [None, 1]) for name in names],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, 2]),
        ],
        [helper.make_tensor(name, TensorProto.DOUBLE, [1], [value]) for name, value in (("zero", 0.0), ("one", 1.0))],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    example = [[500.0, None, 7, "AA", False, "2013-01-01T05:15:00", None, 150.0]]
    return write(
        folder,
        {"model.onnx": model.SerializeToString()},
        runtime="onnx",
        model={"path": "model.onnx"},
        signature={
            "inputs": MIXED,
            "task": "classification",
            "classes": [0, 1],
            "example": {"columns": names, "data": example},
        },
        onnx={
            "inputs": [{"name": name, "column": name, "dtype": "float64"} for name in names],
            "label_output": "label",
            "probability_output": "probabilities",
        },
    )


class Counts:
    """A model without a signature: takes anything and answers how many rows it was given."""

    def predict(self, rows):
        return np.array([len(rows) if hasattr(rows, "__len__") else 0])


class Raises:
    """A model that fails."""

    def predict(self, rows):
        raise RuntimeError("the model's secret reason")


class Reads:
    """A model that reads an asset, as it did in the notebook."""

    def predict(self, rows):
        return np.full(len(rows), float(Path("data/offset.txt").read_text()))


class Sleeps:
    """A model that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def predict(self, rows):
        import time

        time.sleep(self.seconds)
        return np.zeros(len(rows))


cloudpickle.register_pickle_by_value(sys.modules[__name__])
