"""Run a request that an endpoint got once more, in this kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from nbmlops.core.display import Card, Shown, table
from nbmlops.core.records import Record
from nbmlops.workflows.kept import find
from nbmlops.workflows.parameters import Parameter, Trust
from nbmlops.workflows.replaying import from_the_model_on, rows_of, served
from nbmlops.workflows.session import current

PredictionId = Annotated[str, Parameter("The prediction id: the answer's x-prediction-id.", "PREDICTION_ID")]
VARIABLE = "replayed_request"
FIRST_ROWS = 5
OK = 200


@dataclass(frozen=True)
class Replayed(Record, Shown):
    """A request that ran once more.

    Attributes
    ----------
    prediction : str
    reference : str
        The model version that answered, ``name/3``.
    equal : bool or None
        Whether the answer is the one that the caller got; None where that was not kept.
    status : int
        HTTP status of the answer that the caller got.
    inputs : DataFrame
        The rows as the model gets them. An array or a dict of arrays where the model takes those.
    answer, recorded : dict or bytes
        The answer now and then, as JSON gives them; bytes where they hold binary tensors.
    """

    prediction: str
    reference: str
    equal: bool | None
    status: int
    inputs: Any = field(repr=False, compare=False)
    answer: Any = field(repr=False, compare=False)
    recorded: Any = field(repr=False, compare=False)

    def _show_(self) -> Card:
        fields = {
            "model": self.reference,
            "rows": len(self.inputs),
            "answered then": self.status,
            "answers equal": "unknown: the answer was not kept" if self.equal is None else self.equal,
        }
        rows = self.inputs.head(FIRST_ROWS) if hasattr(self.inputs, "head") else None
        shown = () if rows is None else (table(map(str, rows.columns), rows.itertuples(index=False, name=None)),)
        note = "" if self.status == OK else "It failed then and does not here: chance, time, load or what it reads."
        return Card(title=f"Replay of {self.prediction}", fields=fields, tables=shown, note=note)


def replay(prediction: PredictionId, *, trust: Trust = False) -> Replayed:
    """Run a request of an endpoint once more, here, with the very version that answered it.

    The request is one that failed, and is in the endpoint's error store, or one that was captured. Where the model
    raises, its exception leaves this call, so that %debug opens where it was raised; in a notebook the rows are then
    in the variable replayed_request.

    Parameters
    ----------
    prediction : str
        ``ID``; of the id of one of its rows, ``ID:0``, the request too.
    trust : bool, default False
        Load a version that this workspace did not register.

    Returns
    -------
    Replayed

    Raises
    ------
    NotFound
        No request of that id was kept.
    InvalidInput
        A part of the request was left out, so that it can't run again; the message says which.
    """
    session = current()
    kept = find(session, prediction.partition(":")[0])
    for reference in kept.references:
        session.registry.check_trust(reference, trust)
    with served(kept) as model:
        request = model.decode(kept)
        data = model.assemble(request)
        inputs = rows_of(data, model.arm)
        _bind(inputs)
        try:
            answer = _read(model.call(request, data, prediction=kept.prediction))
        except Exception as error:
            error.add_note(f"The request's rows are in {VARIABLE}; %debug opens where this was raised.")
            error.__traceback__ = from_the_model_on(error.__traceback__)
            raise
    recorded = _read(kept.answer) if kept.answer else None
    equal = None if recorded is None else kept.status == OK and answer == recorded
    return Replayed(
        kept.prediction, f"{kept.model}/{kept.version}", equal, kept.status, inputs, answer=answer, recorded=recorded
    )


def _read(answer: bytes) -> Any:
    """Return an answer as JSON gives it; one with binary tensors stays as it is."""
    try:
        return json.loads(answer)
    except ValueError:
        return answer


def _bind(inputs: Any) -> None:
    """Give the request to the notebook, if this is one."""
    from nbmlops.capture.notebook import current_shell

    shell = current_shell()
    if shell is not None:
        names: Mapping[str, Any] = {VARIABLE: inputs}
        shell.push(names)
