"""Replay: the saved sample through the real server, compared with the fitted object's own answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbmlops.conversion import Fidelity, agreement
from nbmlops.core.errors import InvalidInput, ScoringError
from nbmlops.core.records import Record
from nbmlops.deployment.client import outputs, score
from nbmlops.deployment.errors import explained
from nbmlops.deployment.trials import HasPath, trial

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nbmlops.registry import Reference


@dataclass(frozen=True)
class Replay(Record):
    """What a replay saw.

    Attributes
    ----------
    rows : int
        Rows that were sent.
    fidelity : Fidelity
        How the served answers agree with the fitted object's.
    left_out : int
        Rows that can't be sent because they hold infinite numbers, which no request can hold either.
    labels_alone : bool
        Whether the fitted object gives probabilities and the server can't, so that labels alone were compared.
    """

    rows: int
    fidelity: Fidelity
    left_out: int = 0
    labels_alone: bool = False


def replay(bundle: HasPath, reference: Reference) -> Replay:
    """Serve `bundle` as an endpoint would, send it the reference's rows, and compare the answers.

    Parameters
    ----------
    bundle : Bundle
    reference : Reference
        The sample with the fitted object's answers.

    Raises
    ------
    InvalidInput
        The sample has no row that can be sent.
    EndpointError
        The server does not start.
    ScoringError
        The server refuses rows of the sample.
    """
    sent = _finite(reference)
    rows = len(sent.inputs)
    if not rows:
        raise InvalidInput("the saved sample has no row that can be sent", expected="at least one finite row")
    with trial(bundle) as server:
        labels_alone = sent.probabilities is not None and "both" not in outputs(server.url, server.headers)
        if labels_alone:
            sent = replace(sent, probabilities=None)
        try:
            predictions, probabilities = _answers(server.url, server.headers, sent)
        except ScoringError as error:
            raise explained(error, server.errors) from error.__cause__
    left_out = len(reference.inputs) - rows
    return Replay(rows, agreement(sent, predictions, probabilities), left_out=left_out, labels_alone=labels_alone)


def _answers(url: str, headers: dict[str, str], sent: Reference) -> tuple[Any, Any]:
    if sent.probabilities is None:
        return _values(score(url, headers, sent.inputs)), None
    both = score(url, headers, sent.inputs, output="both")
    return both["label"].to_numpy(), both.iloc[:, 1:].to_numpy()


def _values(answer: Any) -> Any:
    return answer.to_numpy() if hasattr(answer, "to_numpy") else answer


def _finite(reference: Reference) -> Reference:
    """Return the reference without the rows that hold an infinite number."""
    import numpy as np

    keep = np.ones(len(reference.inputs), dtype=bool)
    for _, column in reference.inputs.items():
        if column.dtype.kind == "f":
            keep &= ~np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if keep.all():
        return reference
    return replace(
        reference,
        inputs=_rows(reference.inputs, keep),
        predictions=reference.predictions[keep],
        probabilities=None if reference.probabilities is None else reference.probabilities[keep],
    )


def _rows(frame: pd.DataFrame, keep: np.ndarray[Any, Any]) -> pd.DataFrame:
    return frame.loc[keep]
