"""Replay: the saved sample through the real server, compared with the fitted object's own answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbmlops.conversion import Fidelity, agreement
from nbmlops.core.errors import InvalidInput, ScoringError
from nbmlops.core.records import Record
from nbmlops.deployment.client import Sending, outputs, score
from nbmlops.deployment.errors import explained
from nbmlops.deployment.trials import HasPath, trial

if TYPE_CHECKING:
    import numpy as np

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

    @property
    def agrees(self) -> bool:
        """Whether the served answers are the fitted object's."""
        return self.fidelity.agrees

    @property
    def says(self) -> str:
        """How the answers differ, and in which rows."""
        found = self.fidelity
        worst = ", ".join(str(row) for row in found.worst)
        return (
            f"{found.labels_different:,} of {found.rows:,} labels differ and values by up to "
            f"{found.max_difference:.2g} (rows {worst} of the saved sample are the worst)"
        )

    def kept(self) -> dict[str, Any]:
        """Return what the journal keeps of it: counts, never rows."""
        names = ("rows", "labels_different", "max_difference", "tolerance")
        facts = {name: getattr(self.fidelity, name) for name in names}
        return facts | ({"labels_alone": True} if self.labels_alone else {})


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
    sent = finite(reference)
    rows = len(sent.inputs)
    if not rows:
        raise InvalidInput("the saved sample has no row that can be sent", expected="at least one finite row")
    with trial(bundle) as server:
        labels_alone = sent.probabilities is not None and "both" not in outputs(server.url, server.headers)
        if labels_alone:
            sent = replace(sent, probabilities=None)
        try:
            predictions, probabilities = answers(server.url, server.headers, sent)
        except ScoringError as error:
            raise explained(error, server.errors) from error.__cause__
    left_out = len(reference.inputs) - rows
    return Replay(rows, agreement(sent, predictions, probabilities), left_out=left_out, labels_alone=labels_alone)


def answers(url: str, headers: dict[str, str], sent: Reference, *, sending: Sending | None = None) -> tuple[Any, Any]:
    """Return the server's predictions and probabilities for the reference's rows."""
    if sent.probabilities is None:
        return _values(score(url, headers, sent.inputs, sending=sending)), None
    both = score(url, headers, sent.inputs, output="both", sending=sending)
    return both["label"].to_numpy(), both.iloc[:, 1:].to_numpy()


def _values(answer: Any) -> Any:
    return answer.to_numpy() if hasattr(answer, "to_numpy") else answer


def finite(reference: Reference) -> Reference:
    """Return the reference without the rows that hold an infinite number."""
    import numpy as np

    keep = np.ones(len(reference.inputs), dtype=bool)
    for _, column in reference.inputs.items():
        if column.dtype.kind == "f":
            keep &= ~np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if keep.all():
        return reference
    return part(reference, keep)


def part(reference: Reference, rows: np.ndarray[Any, Any]) -> Reference:
    """Return some rows of a reference, chosen by a mask or by their positions."""
    return replace(
        reference,
        inputs=reference.inputs[rows] if rows.dtype == bool else reference.inputs.iloc[rows],
        predictions=reference.predictions[rows],
        probabilities=None if reference.probabilities is None else reference.probabilities[rows],
    )
