"""A loaded model, from rows to labels: what the peers that load nothing by themselves are given.

The suffix of the file that ``MODEL`` names says what it is: ``.onnx`` for ONNX Runtime, else a pickle of joblib.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = 20  # the first columns are numbers, the rest strings
COLUMNS = [f"number_{place}" for place in range(NUMBERS)] + [f"text_{place}" for place in range(3)]

Score = Callable[[Sequence[Sequence[Any]]], list[int]]


def load() -> Score:
    """Return the function that scores rows of values in the order of `COLUMNS`."""
    path = os.environ["MODEL"]
    return onnx(path) if path.endswith(".onnx") else pickled(path)


def onnx(path: str) -> Score:
    """Score with ONNX Runtime on one thread, without a DataFrame."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    label = session.get_outputs()[0].name
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
    numbers, texts = session.get_inputs()  # columns of one type come in side by side

    def score(rows: Sequence[Sequence[Any]]) -> list[int]:
        feed = {
            numbers.name: np.array([row[:NUMBERS] for row in rows], dtype=kinds[numbers.type]),
            texts.name: np.array([row[NUMBERS:] for row in rows], dtype=kinds[texts.type]),
        }
        answer: list[int] = session.run([label], feed)[0].tolist()
        return answer

    return score


def pickled(path: str) -> Score:
    """Score with scikit-learn, which asks for a DataFrame."""
    import joblib
    import pandas as pd

    model = joblib.load(path)

    def score(rows: Sequence[Sequence[Any]]) -> list[int]:
        answer: list[int] = model.predict(pd.DataFrame(rows, columns=COLUMNS)).tolist()
        return answer

    return score
