"""A pipeline in two runtimes: its fitted preprocessing as it is, and ONNX Runtime for the estimator behind it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..documents import Output
from ..errors import ServingError
from ..inputs import ModelInput, Tensor
from ..outputs import Outputs
from .onnx import OnnxRuntime
from .sklearn import features_of, read_estimator

NUMERIC = "fiub"
LARGEST = float(np.finfo(np.float32).max)
ODD = {"a null": np.nan, "an infinite number": np.inf, "a number too large for float32": 10 * LARGEST}
"""What some estimators refuse to predict from, and a graph answers anything to."""


class Preprocessing:
    """The fitted steps of a pipeline before its last one.

    They are called one by one, as the pipeline's own ``predict`` does, and not as a pipeline of their own: that would
    ask its last step whether it was fitted, which a step of the user's may not be able to say.

    Parameters
    ----------
    steps : sequence of object
        Each with ``transform``.
    refused : frozenset of str
        Keys of `ODD`: what the estimator behind refuses.
    """

    def __init__(self, steps: Sequence[Any], refused: frozenset[str] = frozenset()) -> None:
        self._steps = list(steps)
        self._refused = refused

    def __call__(self, features: Any) -> NDArray[Any]:
        """Return what the estimator gets, as a dense array of shape (n_rows, n_features).

        Raises
        ------
        TypeError
            The last step gives something else than numbers in rows and columns.
        ValueError
            It gives a text that is no number, or a value that the estimator itself refuses.
        """
        for step in self._steps:
            features = step.transform(features)
        matrix = np.asarray(features.toarray() if hasattr(features, "toarray") else features)
        if matrix.dtype == object:  # columns of several dtypes; scikit-learn's estimators read them so too
            matrix = matrix.astype(np.float64)
        if matrix.ndim != 2 or matrix.dtype.kind not in NUMERIC:
            raise TypeError(
                f"the preprocessing gives {matrix.dtype} values of {matrix.ndim} axes; the estimator in ONNX takes "
                "numbers in rows and columns"
            )
        for what in self._refused:
            if _holds(matrix, what):
                raise ValueError(f"the preprocessing gives {what}, which the estimator refuses")
        return matrix


def _holds(matrix: NDArray[Any], what: str) -> bool:
    if matrix.dtype.kind != "f":
        return False
    odd = ODD[what]
    if np.isfinite(odd):
        return bool((np.isfinite(matrix) & (np.abs(matrix) > LARGEST)).any())
    return bool((np.isnan(matrix) if np.isnan(odd) else np.isinf(matrix)).any())


def refused_by(estimator: Any) -> frozenset[str]:
    """Return what of `ODD` an estimator refuses, asked with one row of each; nothing where even zeros are refused."""
    width = getattr(estimator, "n_features_in_", None)
    if not isinstance(width, int) or not _answers(estimator, np.zeros((1, width))):
        return frozenset()
    return frozenset(what for what, odd in ODD.items() if not _answers(estimator, np.full((1, width), odd)))


def _answers(estimator: Any, row: NDArray[Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.predict(row)
    except Exception:  # noqa: BLE001 - an estimator may raise anything
        return False
    return True


def parted(model: Any) -> tuple[list[Any], Any] | None:
    """Return the steps before the last one of a pipeline, and that one; None where `model` has no such parts.

    Parameters
    ----------
    model : object
        A fitted pipeline, or a search that found one.
    """
    steps = getattr(getattr(model, "best_estimator_", model), "steps", None)
    if not isinstance(steps, list) or len(steps) < 2:
        return None
    before = [step for _, step in steps[:-1] if step is not None and step != "passthrough"]
    last = steps[-1][1]
    if not before or not hasattr(last, "predict") or not all(hasattr(step, "transform") for step in before):
        return None
    return before, last


def load(bundle: Bundle) -> HybridRuntime:
    """Load the whole pipeline, of which only the preprocessing is kept, and the graph."""
    sys.path[:0] = [str(bundle.path / folder) for folder in bundle.manifest.code]
    model = bundle.manifest.model
    found = parted(read_estimator(bundle.path / model.preprocessing, model.serialization, model.trusted))
    if found is None:
        raise ServingError("invalid_bundle", f"{model.preprocessing} holds no pipeline with an estimator at its end")
    steps, last = found
    return HybridRuntime(bundle, Preprocessing(steps, refused_by(last)))


class HybridRuntime:
    """Calls the preprocessing on one DataFrame, or on the array that it was fitted on, and feeds its answer to a graph.

    Parameters
    ----------
    bundle : Bundle
    preprocessing : Preprocessing
    """

    inline = False
    batches = True

    def __init__(self, bundle: Bundle, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._signature = bundle.signature
        self._graph = OnnxRuntime(bundle)
        self.outputs: tuple[str, ...] = self._graph.outputs

    def predict(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score one batch; neither part has parameters."""
        matrix = self._preprocessing(features_of(data, self._signature))
        return self._graph.predict(Tensor(matrix), output)
