"""Ask a converted model for the rows of a group, and find those that it answers otherwise."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.failing import failures, one_line
from nbmlops.conversion.fidelity import Fidelity, RowByRow, row_by_row
from nbmlops.core.records import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nbmlops.conversion.evidence import Answers, Group
    from nbmlops.conversion.onnx_model import OnnxModel

CHUNK = 1000  # rows
PATIENCE = 10.0  # seconds for the rows of one group
REFUSED_TRIED = 24
"""Rows that the fitted object refuses, asked one by one: there is no other way to see that each is refused."""
EXPECTED, RECEIVED = "fitted object", "converted model"


@dataclass(frozen=True)
class Finding(Record):
    """What was found in one group of rows.

    Attributes
    ----------
    kind : str
    rows : int
        Rows that both answered or should have.
    refused : int
        Rows that the fitted object refuses.
    answered : int
        Those of them that the converted model answers all the same.
    fidelity : Fidelity or None
        None where there was nothing to compare, or no answer.
    error : str
        Why the converted model gave no answers.
    flips : DataFrame or None
        Every row answered otherwise, with both answers.
    """

    kind: str
    rows: int
    refused: int
    answered: int
    fidelity: Fidelity | None = None
    error: str = ""
    flips: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def agrees(self) -> bool:
        """Whether every row is answered, or refused, as the fitted object does."""
        fits = self.fidelity is None or self.fidelity.agrees
        return not self.error and not self.answered and (fits or not self.rows)


def judge(onnx: OnnxModel, group: Group) -> Finding:
    """Compare a converted model with the fitted object on one group of rows."""
    rows = len(group.answers.inputs)
    answered = sum(_answers(onnx, group.refused.iloc[place : place + 1]) for place in _some(len(group.refused)))
    if not rows:
        return Finding(group.kind, 0, len(group.refused), answered)
    try:
        predictions, probabilities = predicted(onnx, group.answers.inputs)
    except failures() as error:
        return Finding(group.kind, rows, len(group.refused), answered, error=one_line(error))
    found = row_by_row(group.answers, predictions, probabilities)
    if group.across is not None and found.wrong.any():
        found = _either(found, row_by_row(_crossed(group), predictions, probabilities), group.across >= 0)
    return Finding(
        group.kind,
        rows,
        len(group.refused),
        answered,
        found.summary(),
        flips=_flips(group, found.wrong, predictions=predictions, probabilities=probabilities)
        if found.wrong.any()
        else None,
    )


def predicted(onnx: OnnxModel, inputs: pd.DataFrame) -> tuple[Any, Any]:
    """Return the converted model's answers, a thousand rows at a time.

    Raises
    ------
    RuntimeError
        It takes longer than `PATIENCE`.
    """
    import numpy as np

    end = time.monotonic() + PATIENCE
    answers = []
    for start in range(0, len(inputs), CHUNK):
        if time.monotonic() > end:
            raise RuntimeError(f"its model answered only {start:,} rows in {PATIENCE:.0f} seconds")
        answers.append(onnx.predict(inputs.iloc[start : start + CHUNK]))
    labels, probabilities = zip(*answers, strict=True)
    return np.concatenate(labels), None if probabilities[0] is None else np.concatenate(probabilities)


def _some(count: int) -> range:
    return range(0, count, max(count // REFUSED_TRIED, 1))


def _answers(onnx: OnnxModel, row: pd.DataFrame) -> bool:
    try:
        onnx.predict(row)
    except failures():
        return False
    return True


def _either(own: RowByRow, across: RowByRow, near: np.ndarray[Any, Any]) -> RowByRow:
    """Return `own`, with the rows next to a step that are answered as on its other side counted as ties."""
    import numpy as np

    crossed = own.wrong & ~across.wrong & near
    return RowByRow(
        np.where(crossed, across.difference, own.difference), own.different, own.tied | (crossed & own.different)
    )


def _crossed(group: Group) -> Answers:
    """Return the answers of each row's neighbour across a step, its own where there is none."""
    import numpy as np

    assert group.across is not None
    places = np.where(group.across >= 0, group.across, np.arange(len(group.across)))
    own = group.answers
    probabilities = None if own.probabilities is None else own.probabilities[places]
    return replace(own, predictions=own.predictions[places], probabilities=probabilities, tied=None)


def _flips(group: Group, wrong: np.ndarray[Any, Any], *, predictions: Any, probabilities: Any) -> pd.DataFrame:
    """Return the rows that are answered otherwise, with both answers beside their inputs."""
    import numpy as np

    places = np.flatnonzero(wrong)
    flips = group.answers.inputs.iloc[places].copy()
    flips.insert(0, "kind", group.kind, allow_duplicates=True)
    for name, labels, chances in (
        (EXPECTED, group.answers.predictions, group.answers.probabilities),
        (RECEIVED, predictions, probabilities),
    ):
        flips.insert(1, name, [_answer(labels, chances, place) for place in places.tolist()], allow_duplicates=True)
    return flips


def _answer(labels: Any, chances: Any, place: int) -> str:
    """Return one answer in words: the label and the largest probability."""
    import numpy as np

    label = np.asarray(labels[place]).ravel().tolist() if place < len(labels) else ["no answer"]
    said = ", ".join(f"{one:.10g}" if isinstance(one, float) else str(one) for one in label)
    return said if chances is None or len(chances) != len(labels) else f"{said} ({np.max(chances[place]):.10g})"
