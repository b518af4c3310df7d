"""``/explain``: rows as ``/invocations`` takes them, answered with what each column adds to each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from ..documents import ScoringRequest
from ..errors import RequestError
from ..exchange import Answer, Head
from ..inputs import Table, Tensor
from ..outputs import Outputs, listed
from ..wires import MLFLOW
from .additive import Additive, Floats, read

if TYPE_CHECKING:
    from ..arms import Arm

TOLERANCE = 1e-5


class ExplainWire:
    """Decodes as MLflow's protocol; the model answers, and its answer is what the contributions are held against."""

    name = MLFLOW.name  # a request that failed is run again as one to /invocations
    noted = False  # neither captured, nor copied to shadows, nor counted for guardrails

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Arm, Additive | None] = WeakKeyDictionary()

    def check(self, head: Head) -> None:
        """Refuse what is neither JSON nor CSV."""
        MLFLOW.check(head)

    def decode(self, arm: Arm, head: Head, body: bytes) -> ScoringRequest:
        """Return the decoded request, which asks for probabilities where there are any."""
        additive = self._of(arm)
        request = MLFLOW.decode(arm, head, body)
        if additive.outputs:
            request.output = "both"
        request.context = additive
        return request

    def encode(self, arm: Arm, request: ScoringRequest, outputs: Outputs, *, prediction: str) -> Answer:
        """Return ``{"explanations": [{"id", "prediction", "base", "contributions", "output", "residual"}, …]}``."""
        additive: Additive = request.context
        values = additive.contributions(_columns(arm.assemble([request.data])))
        sums = values.sum(axis=1) + additive.base
        gaps = _gaps(additive.answers(sums), _served(additive, outputs))
        if not (gaps <= TOLERANCE).all():  # NaN is no agreement
            raise _differs()
        labels = listed(outputs.labels) if outputs.labels is not None else [None] * len(values)
        names = [term.name for term in additive.terms]
        explanations = [
            {
                "id": f"{prediction}:{row}",
                "prediction": labels[row],
                "base": _one_or_all(np.asarray(additive.base)),
                "contributions": {name: _one_or_all(values[row, place]) for place, name in enumerate(names)},
                "output": _one_or_all(sums[row]),
                "residual": float(gaps[row].max()),
            }
            for row in range(len(values))
        ]
        told = {"scale": additive.scale, "outputs": additive.outputs, "explanations": explanations}
        return Answer(200, msgspec.json.encode(told))

    def refuse(self, error: RequestError) -> Answer:
        """Return the error as ``/invocations`` would."""
        return MLFLOW.refuse(error)

    def _of(self, arm: Arm) -> Additive:
        if arm not in self._known:
            ensemble = bool(arm.config.members)
            self._known[arm] = None if ensemble else read(arm.bundle.path, arm.bundle.digest)
        found = self._known[arm]
        if found is None:
            raise RequestError(
                409,
                "not_explainable",
                f"version {arm.config.version} has nothing that explains it here",
                expected="a version that was deployed with --explain",
            )
        return found


EXPLAIN = ExplainWire()


def _columns(data: Any) -> list[Any]:
    if isinstance(data, Table):
        return [column.tolist() for column in data.columns]
    if isinstance(data, Tensor) and data.array.ndim == 2:
        return list(data.array.T.tolist())
    raise RequestError(409, "not_explainable", "its rows have no columns", expected="a model of named columns")


def _served(additive: Additive, outputs: Outputs) -> Floats:
    """Return what the model itself answered, shape (n_rows, n_outputs)."""
    found = outputs.probabilities if additive.outputs else outputs.labels
    if found is None:
        raise _differs()
    answered = np.asarray(found, dtype=np.float64).reshape(len(found), -1)
    return answered[:, 1:] if len(additive.base) == 1 and answered.shape[1] == 2 else answered


def _gaps(sums: Floats, served: Floats) -> Floats:
    if sums.shape != served.shape:
        raise _differs()
    return np.asarray(np.abs(sums - served) / np.maximum(np.abs(served), 1.0))


def _differs() -> RequestError:
    return RequestError(
        409,
        "explanation_differs",
        "the contributions do not add up to what the model answered, so they are not given",
        expected="rows like those that the model was fitted on",
    )


def _one_or_all(values: Floats) -> Any:
    return float(values[0]) if len(values) == 1 else values.tolist()
