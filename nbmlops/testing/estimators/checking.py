"""The independent check: whatever a conversion chose is asked about rows that its gate never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nbmlops.testing.estimators.answers import LIMIT, differences, of_converted, of_fitted, other_labels
from nbmlops.testing.estimators.edges import edges

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.conversion import OnnxModel
    from nbmlops.testing.estimators.case import Fitted

SHOWN = 3


@dataclass(frozen=True)
class Verdict:
    """What the check of a chosen conversion saw.

    Attributes
    ----------
    rows, at_edges : int
        Fresh rows that were compared, and how many of them lie at a jump.
    labels : int
        Rows with another label, ties aside. A regression has none.
    max_difference, high_difference : float
        The largest, and the 99.9th percentile, of the differences of probabilities, or of values relative to
        themselves.
    wrong : int
        Rows with another label or a difference above 1e-5.
    examples : tuple of str
        Some wrong rows in words: their inputs, what was expected and what came.
    """

    rows: int
    at_edges: int
    labels: int
    max_difference: float
    high_difference: float
    wrong: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Name the wrong rows."""
        said = "\n  ".join(self.examples)
        return f"{self.wrong} of {self.rows:,} fresh rows get another answer\n  {said}"


def check(fitted: Fitted, onnx: OnnxModel, rows: int, *, pairs: int = 24, frame: pd.DataFrame | None = None) -> Verdict:
    """Compare a converted model with the fitted one on fresh rows.

    Parameters
    ----------
    fitted : Fitted
    onnx : OnnxModel
        What was chosen. Rows that it is served without (nulls that it can't answer) are left out.
    rows : int
        Fresh rows.
    pairs : int
        Jumps that are followed, where the case's answers jump.
    frame : DataFrame, optional
        Rows to compare instead of fresh ones.
    """
    fresh = _served(fitted, onnx, fitted.fresh(rows) if frame is None else frame)
    near = edges(fitted, fresh, pairs) if fitted.case.stepped else fresh.head(0)
    asked = _joined(fresh, near)
    expected, received = of_fitted(fitted, asked), of_converted(onnx, asked)
    other = other_labels(expected, received) if fitted.classifies else np.zeros(len(asked), dtype=bool)
    apart = differences(expected, received, values=not fitted.classifies)
    wrong = other | (apart > LIMIT)
    worst = np.lexsort((-apart, ~other))[: min(SHOWN, int(wrong.sum()))]
    return Verdict(
        rows=len(asked),
        at_edges=len(near),
        labels=int(other.sum()),
        max_difference=float(apart.max(initial=0.0)),
        high_difference=float(np.quantile(apart, 0.999, method="inverted_cdf")) if len(apart) else 0.0,
        wrong=int(wrong.sum()),
        examples=tuple(_in_words(asked.iloc[row], expected, received, row=int(row)) for row in worst),
    )


def _served(fitted: Fitted, onnx: OnnxModel, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a server of the converted model takes."""
    declared: Any = onnx.served(fitted.signature)["inputs"]
    if not isinstance(declared, list):
        return frame
    whole = [column["name"] for column in declared if not column.get("nullable")]
    return frame[frame[whole].notna().all(axis=1)].reset_index(drop=True)


def _joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return first if second.empty else pd.concat([first, second], ignore_index=True)


def _in_words(inputs: pd.Series[Any], expected: Any, received: Any, *, row: int) -> str:
    cells = ", ".join(f"{name}={value!r}" for name, value in inputs.items())
    said = [answers.labels[row].tolist() for answers in (expected, received)]
    if expected.probabilities is not None and received.probabilities is not None:
        said = [
            [*one, *answers.probabilities[row].tolist()]
            for one, answers in zip(said, (expected, received), strict=True)
        ]
    return f"row {row} ({cells}): {said[0]} expected, {said[1]} came"
