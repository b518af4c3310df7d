"""From a fitted model and rows to an explanation."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbmlops.core import digests
from nbmlops.core.progress import stage
from nbmlops.explanation.choice import Explained, explained
from nbmlops.explanation.report import Explanation
from nbmlops.explanation.seam import Explainer
from nbmlops.explanation.stability import importances
from nbmlops.explanation.subject import Subject

ROWS = 1000
"""Rows unless more are asked for; their importances lie within 5 % of those of four times as many."""


@dataclass(frozen=True)
class Asked:
    """What the rows of a subject are.

    Attributes
    ----------
    model : str
        The version, ``name/3``.
    positions : ndarray of int, shape (n_rows,)
        Where the subject's rows stand in the data.
    given : int
        Rows of the data.
    row : int or None
        Position of the row that was asked for.
    prediction, answered : str
        Where a prediction is explained: its id, and what was answered then.
    """

    model: str
    positions: Any
    given: int
    row: int | None = None
    prediction: str = ""
    answered: str = ""


def explain(
    subject: Subject, asked: Asked, *, seconds: float, candidates: tuple[Explainer, ...] | None = None
) -> Explanation:
    """Explain the subject's rows, as many as there is time for.

    Parameters
    ----------
    subject : Subject
    asked : Asked
    seconds : float
        Time for the contributions; the intervals and pictures come on top.
    candidates : tuple of Explainer, optional
        What to try, in order. Default: all that are installed.

    Raises
    ------
    Refused
        No explainer's sums agree with the model's own output.
    """
    began = time.monotonic()
    found = explained(subject, seconds=seconds, candidates=candidates)
    rows = len(found.values)
    stage("drawing other rows and backgrounds")
    importance = importances(
        subject.columns, found.values, rebased=found.rebased, background=found.background, seed=subject.seed
    )
    single = found.values.shape[2] == 1
    return Explanation(
        model=asked.model,
        explainer=found.explainer,
        how=found.how,
        scale=found.scale,
        outputs=subject.outputs or (() if single else tuple(str(one) for one in range(found.values.shape[2]))),
        columns=tuple(subject.columns),
        rows=rows,
        rows_given=asked.given,
        background=found.background,
        residual=found.residual,
        importance=importance,
        refused=found.refused,
        seconds=round(time.monotonic() - began, 2),
        digest=_digest(found),
        row=asked.row,
        prediction=asked.prediction,
        answered=asked.answered,
        values=found.values[:, :, 0] if single else found.values,
        base_values=float(found.base_values[0]) if single else found.base_values,
        predicted=found.outputs[:, 0] if single else found.outputs,
        data=subject.rows.iloc[:rows].reset_index(drop=True),
        positions=asked.positions[:rows],
    )


def _digest(found: Explained) -> str:
    return digests.of_bytes(np.ascontiguousarray(found.base_values).tobytes() + found.values.tobytes())


def chosen(count: int, *, rows: int, row: int | None, seed: int) -> Any:
    """Return the positions of the rows to explain: all, or a random part in random order, the asked one first.

    >>> chosen(3, rows=10, row=2, seed=0).tolist()[0]
    2
    """
    order = np.random.default_rng(seed).permutation(count)
    if row is not None:
        order = np.concatenate([[row], order[order != row]])
    return order[:rows]
