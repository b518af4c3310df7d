"""Any MLflow model, by way of mlflow's pyfunc: the last resort, which serves everything that mlflow can load."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.scoring_server import predictions_to_json

from ..bundle import Bundle
from ..documents import OUTPUTS, Output
from ..inputs import Array, ModelInput, Table, Tensor, Tensors
from ..outputs import Outputs
from ..parameters import Parameters
from ..signature import Signature, TensorSpec
from .frames import data_frame, generic_frame

WRAPPER = "Answering"


def load(bundle: Bundle) -> PyfuncRuntime:
    """Load the MLflow model folder."""
    sys.path[:0] = [str(bundle.path / folder) for folder in bundle.manifest.code]
    return PyfuncRuntime(_without_enforcement(mlflow.pyfunc.load_model(str(bundle.model_path))), bundle.signature)


def _without_enforcement(model: Any) -> Any:
    """Let mlflow change nothing of rows that are checked and made as they were at the fit.

    It knows no Int64, and one unit of time. Without a schema of parameters, though, it would drop them all.
    """
    declared = model.metadata.get_params_schema()
    model.metadata.signature = None if declared is None else ModelSignature(params=declared)
    return model


class PyfuncRuntime:
    """Calls the pyfunc's ``predict`` once for each request, since nothing says that its rows are independent.

    A pyfunc has no ``predict_proba``; the object within may have.

    Parameters
    ----------
    model : mlflow.pyfunc.PyFuncModel
    signature : Signature
    """

    inline = False
    batches = False

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._signature = signature
        self._parameters = Parameters(signature.params)
        self._probabilities = getattr(unwrapped(model), "predict_proba", None)
        self.outputs: tuple[str, ...] = OUTPUTS if callable(self._probabilities) else ("label",)

    def predict(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Score one request."""
        features = self._features(data)
        if self._probabilities is None or output == "label":
            return Outputs(payload=jsonable(self._answer(features, params)))
        labels = np.asarray(self._answer(features, params)) if output == "both" else None
        return Outputs(labels, np.asarray(self._probabilities(features)))

    def _answer(self, features: Any, params: Mapping[str, Any] | None) -> Any:
        if params is None:
            return self._model.predict(features)
        return self._model.predict(features, params=self._parameters.native(params))

    def _features(self, data: ModelInput) -> Any:
        if isinstance(data, Table):
            return data_frame(data, self._signature.columns or ())
        if isinstance(data, Tensors):
            specs = self._signature.tensors or ()
            arrays = [_declared(array, spec) for array, spec in zip(data.arrays, specs, strict=True)]
            return dict(zip(data.names, arrays, strict=True))
        if isinstance(data, Tensor):
            return data.array if self._signature.tensor is None else _declared(data.array, self._signature.tensor)
        return generic_frame(data)


def _declared(array: Array, spec: TensorSpec) -> Array:
    """Return texts and bytes in numpy's own dtypes where the signature declares those, as MLflow hands them over."""
    if array.dtype != object or spec.dtype in ("object", "string"):
        return array
    return array.astype(np.bytes_ if spec.dtype.lstrip("|").startswith(("S", "bytes")) else np.str_)


def unwrapped(model: Any) -> Any:
    """Return the object within a pyfunc as it was registered, as far as its flavour gives it; else None."""
    try:
        return model.get_raw_model()
    except NotImplementedError:
        pass
    try:
        found = model.unwrap_python_model()
    except MlflowException:
        return None
    # The registry keeps an object with predict within a Python model of this name, stored with its code.
    return getattr(found, "model", found) if type(found).__name__ == WRAPPER else found


def jsonable(answer: Any) -> Any:
    """Return an answer as plain values, in the shape that MLflow's scoring server gives it.

    Numbers and texts take the short way; all else goes through MLflow's own encoder, which has a rule for each of
    moments, bytes and what lies within lists and objects.
    """
    if isinstance(answer, pd.Series):
        answer = pd.DataFrame(answer)
    if isinstance(answer, np.ndarray) and answer.dtype.kind in "biufU":
        return answer.tolist()
    if isinstance(answer, pd.DataFrame) and all(dtype.kind in "biuf" for dtype in answer.dtypes):
        return answer.to_dict(orient="records")
    text = io.StringIO()
    predictions_to_json(answer, text)  # type: ignore[no-untyped-call]
    return json.loads(text.getvalue())["predictions"]
