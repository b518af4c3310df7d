"""Any MLflow model, by way of mlflow's pyfunc: the last resort, which serves everything that mlflow can load."""

from __future__ import annotations

import sys
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd

from ..bundle import Bundle
from ..documents import Output
from ..inputs import ModelInput, Table, Tensor
from ..outputs import Outputs
from ..signature import Signature
from .frames import data_frame, generic_frame


def load(bundle: Bundle) -> PyfuncRuntime:
    """Load the MLflow model folder."""
    sys.path[:0] = [str(bundle.path / folder) for folder in bundle.manifest.code]
    return PyfuncRuntime(mlflow.pyfunc.load_model(str(bundle.model_path)), bundle.signature)


class PyfuncRuntime:
    """Calls the pyfunc's ``predict`` once for each request, since nothing says that its rows are independent.

    Parameters
    ----------
    model : mlflow.pyfunc.PyFuncModel
    signature : Signature
    """

    inline = False
    batches = False
    outputs = ("label",)

    def __init__(self, model: Any, signature: Signature) -> None:
        self._model = model
        self._signature = signature

    def predict(self, data: ModelInput, output: Output) -> Outputs:
        """Score one request."""
        if isinstance(data, Table):
            features: Any = data_frame(data, self._signature.columns or ())
        else:
            features = data.array if isinstance(data, Tensor) else generic_frame(data)
        return Outputs(payload=jsonable(self._model.predict(features)))


def jsonable(answer: Any) -> Any:
    """Return an answer in the shape that MLflow's scoring server gives it."""
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    if isinstance(answer, pd.Series):
        answer = pd.DataFrame(answer)
    return answer.to_dict(orient="records") if isinstance(answer, pd.DataFrame) else answer
