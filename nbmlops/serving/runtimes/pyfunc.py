"""Any MLflow model, by way of mlflow's pyfunc: the last resort, which serves everything that mlflow can load."""

from __future__ import annotations

import sys
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from ..bundle import Bundle
from ..documents import OUTPUTS, Output
from ..inputs import ModelInput, Table, Tensor
from ..outputs import Outputs
from ..signature import Signature
from .frames import data_frame, generic_frame

WRAPPER = "Answering"


def load(bundle: Bundle) -> PyfuncRuntime:
    """Load the MLflow model folder."""
    sys.path[:0] = [str(bundle.path / folder) for folder in bundle.manifest.code]
    model = mlflow.pyfunc.load_model(str(bundle.model_path))
    # Rows are checked and made as they were at the fit. MLflow's check would only change them again: it knows no
    # Int64, and one unit of time.
    model.metadata.signature = None
    return PyfuncRuntime(model, bundle.signature)


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
        self._probabilities = getattr(unwrapped(model), "predict_proba", None)
        self.outputs: tuple[str, ...] = OUTPUTS if callable(self._probabilities) else ("label",)

    def predict(self, data: ModelInput, output: Output) -> Outputs:
        """Score one request."""
        features = self._features(data)
        if self._probabilities is None or output == "label":
            return Outputs(payload=jsonable(self._model.predict(features)))
        labels = np.asarray(self._model.predict(features)) if output == "both" else None
        return Outputs(labels, np.asarray(self._probabilities(features)))

    def _features(self, data: ModelInput) -> Any:
        if isinstance(data, Table):
            return data_frame(data, self._signature.columns or ())
        return data.array if isinstance(data, Tensor) else generic_frame(data)


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
    return found.model if type(found).__name__ == WRAPPER else found


def jsonable(answer: Any) -> Any:
    """Return an answer in the shape that MLflow's scoring server gives it."""
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    if isinstance(answer, pd.Series):
        answer = pd.DataFrame(answer)
    return answer.to_dict(orient="records") if isinstance(answer, pd.DataFrame) else answer
