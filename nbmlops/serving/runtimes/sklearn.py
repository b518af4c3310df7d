"""scikit-learn's own estimators (and others with its interface), without mlflow between."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..documents import OUTPUTS, Output
from ..inputs import ModelInput, Table, Tensor, Tensors
from ..outputs import Outputs
from ..signature import Signature
from .frames import data_frame, generic_frame


def load(bundle: Bundle) -> SklearnRuntime:
    """Load the estimator with skops or cloudpickle, as the bundle says."""
    sys.path[:0] = [str(bundle.path / folder) for folder in bundle.manifest.code]
    model = bundle.manifest.model
    return SklearnRuntime(read_estimator(bundle.model_path, model.serialization, model.trusted), bundle.signature)


def read_estimator(path: Path, serialization: str, trusted: list[str]) -> Any:
    """Return the object in a file.

    A bundle is made from what a registry holds and checked against its digests, so unpickling trusts that registry.
    """
    if serialization == "skops":
        import skops.io

        return skops.io.load(path, trusted=trusted)
    # cloudpickle writes ordinary pickles; reading them needs cloudpickle installed, nothing more.
    with path.open("rb") as stream:
        return pickle.load(stream)  # noqa: S301


class SklearnRuntime:
    """Calls ``predict`` and ``predict_proba`` on one DataFrame, or on the array that the estimator was fitted on.

    Parameters
    ----------
    estimator : object
    signature : Signature
    """

    inline = False
    batches = True

    def __init__(self, estimator: Any, signature: Signature) -> None:
        self._estimator = estimator
        self._signature = signature
        self.outputs: tuple[str, ...] = OUTPUTS if hasattr(estimator, "predict_proba") else ("label",)

    def predict(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score one batch; `params` go nowhere, as in MLflow's own flavour."""
        features = features_of(data, self._signature)
        labels = None if output == "probabilities" else np.asarray(self._estimator.predict(features))
        probabilities = None if output == "label" else np.asarray(self._estimator.predict_proba(features))
        return Outputs(labels, probabilities)


def features_of(data: ModelInput, signature: Signature) -> Any:
    """Return rows as a fitted object takes them: a DataFrame, a Series, an array, or a dict of arrays."""
    if isinstance(data, Table):
        columns = signature.columns or ()
        frame = data_frame(data, columns)
        return frame.iloc[:, 0] if len(columns) == 1 and columns[0].series else frame
    if isinstance(data, Tensors):
        return dict(zip(data.names, data.arrays, strict=True))
    return data.array if isinstance(data, Tensor) else generic_frame(data)
