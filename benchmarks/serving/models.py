"""The models that every server is given, the rows that it is asked about, and the bundles that ours reads.

Peers in environments of their own run this file too, so nothing but numpy, pandas and scikit-learn is imported before
it is needed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = [f"number_{place}" for place in range(20)]
TEXTS = [f"text_{place}" for place in range(3)]
COLUMNS = NUMBERS + TEXTS
ONNX_INPUTS = ("columns of float32", "columns of string")  # as nbmlops names them, columns side by side
DEPLOYED_INPUTS = ("columns of float64", "columns of string")  # of the file that a deploy makes: a scaler wants float64
TRAINING_ROWS = 3_000


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return `rows` rows of 20 numbers and 3 strings of 8 values each.

    The numbers are float32 in a float64 column: a tree compares in float32, so that a model and its conversion can be
    held to equal labels.
    """
    random = np.random.default_rng(seed)
    numbers = {name: random.normal(size=rows).astype(np.float32).astype(np.float64) for name in NUMBERS}
    return pd.DataFrame(numbers | {name: random.choice(list("ABCDEFGH"), rows) for name in TEXTS})


def label(data: pd.DataFrame) -> np.ndarray:
    """Return what is to be predicted: whether the first two numbers sum to more than nothing."""
    return (data["number_0"] + data["number_1"] > 0).to_numpy().astype(np.int64)


def fitted(kind: str = "boosting", seed: int = 0) -> Pipeline:
    """Return a scaler, a one-hot encoder and 100 trees, fitted.

    Parameters
    ----------
    kind : {"boosting", "forest"}
    """
    data = table(TRAINING_ROWS)
    trees = {"boosting": GradientBoostingClassifier, "forest": RandomForestClassifier}[kind]
    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), TEXTS))
    return make_pipeline(columns, trees(n_estimators=100, random_state=seed)).fit(data, label(data))


def to_onnx(model: Pipeline) -> bytes:
    """Return the model in ONNX as nbmlops converts it: `ONNX_INPUTS`, outputs ``label`` and ``probabilities``."""
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    from nbmlops.conversion.gathering import gathered

    types = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
    types += [(name, StringTensorType([None, 1])) for name in TEXTS]
    made = skl2onnx.to_onnx(model, initial_types=types, options={"zipmap": False})
    kinds = {name: "float32" if name in NUMBERS else "string" for name in COLUMNS}
    gathered(made, [{"name": name, "column": name, "dtype": kinds[name], "shape": [-1, 1]} for name in COLUMNS])
    content: bytes = made.SerializeToString()
    return content


def onnx_bundle(home: Path, content: bytes) -> Path:
    """Write a bundle around an ONNX file; its folder below `home` is named by its digest, as packaging names it."""
    interface = {
        "inputs": [
            {"name": name, "column": columns} for name, columns in zip(ONNX_INPUTS, (NUMBERS, TEXTS), strict=True)
        ],
        "label_output": "label",
        "probability_output": "probabilities",
    }
    return _bundle(home, "model.onnx", content, runtime="onnx", onnx=interface)


def sklearn_bundle(home: Path, model: Pipeline) -> Path:
    """Write a bundle around the fitted object, for scikit-learn to answer."""
    import cloudpickle

    return _bundle(home, "model.pkl", cloudpickle.dumps(model), runtime="sklearn", serialization="cloudpickle")


def _bundle(home: Path, name: str, content: bytes, *, runtime: str, **more: Any) -> Path:
    inputs = [{"name": column, "type": "double"} for column in NUMBERS]
    inputs += [{"name": column, "type": "string"} for column in TEXTS]
    facts = {"path": name} | ({"serialization": more.pop("serialization")} if "serialization" in more else {})
    document = {
        "format": 1,
        "runtime": runtime,
        "model": facts,
        "signature": {"inputs": inputs, "task": "classification", "classes": [0, 1]},
        "files": {name: "sha256:" + hashlib.sha256(content).hexdigest()},
        **more,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    folder = home / hashlib.sha256(text).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / "bundle.json").write_bytes(text)
    return folder
