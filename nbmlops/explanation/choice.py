"""Try explainers from the exact to the sampled; what does not add up to the model's own output is never shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.core.progress import stage
from nbmlops.explanation.apart import apart
from nbmlops.explanation.origins import Places
from nbmlops.explanation.seam import EXPLAINER_ERRORS, Explainer, Part, Prepared, explainers
from nbmlops.explanation.subject import Floats, Subject

TOLERANCE = 1e-5
"""The largest residual that is shown, relative to outputs above 1."""
FIRST_ROWS = 10
PART_SECONDS = 1.0


@dataclass(frozen=True)
class Explained:
    """Contributions that add up.

    Attributes
    ----------
    explainer, scale, how : str
    background : int
    values : ndarray, shape (n_rows, n_columns, n_outputs)
        Of the first `n_rows` rows: as many as there was time for.
    base_values : ndarray, shape (n_outputs,)
    outputs : ndarray, shape (n_rows, n_outputs)
        What the model itself answers.
    residual : float
        The largest difference between the sums and `outputs`, relative to outputs above 1.
    refused : tuple of (str, str)
        Explainers that were tried before, each with the reason against it.
    rebased : callable or None
    """

    explainer: str
    scale: str
    how: str
    background: int
    values: Floats
    base_values: Floats
    outputs: Floats
    residual: float
    refused: tuple[tuple[str, str], ...] = ()
    rebased: Callable[[Places], Floats] | None = None


def explained(subject: Subject, *, seconds: float, candidates: tuple[Explainer, ...] | None = None) -> Explained:
    """Explain as many of the rows as there is time for, with the first explainer whose sums are right.

    Parameters
    ----------
    subject : Subject
    seconds : float
        Time for the contributions.
    candidates : tuple of Explainer, optional
        What to try, in order. Default: all that are installed.

    Raises
    ------
    Refused
        No explainer's sums agree with the model.
    """
    refused: list[tuple[str, str]] = []
    for explainer in explainers() if candidates is None else candidates:
        if not explainer.can_explain(subject):
            continue
        try:
            found, prepared = (apart if explainer.apart else bounded)(explainer, subject, seconds)
            outputs = subject.output(prepared.scale, subject.rows.iloc[: len(found.values)])
            residual = distance(found.values.sum(axis=1) + prepared.base_values, outputs)
        except (*EXPLAINER_ERRORS, InvalidInput) as error:
            refused.append((explainer.name, _one_line(error)))
            continue
        if not residual <= TOLERANCE:  # NaN is no agreement
            refused.append((explainer.name, f"its sums differ from the model's own {prepared.scale} by {residual:.1e}"))
            continue
        return Explained(
            explainer=explainer.name,
            scale=prepared.scale,
            how=prepared.how,
            background=prepared.background,
            values=found.values,
            base_values=prepared.base_values,
            outputs=outputs,
            residual=residual,
            refused=tuple(refused),
            rebased=found.rebased,
        )
    raise Refused(
        f"no explanation of this {type(subject.last).__name__} adds up to its own answers ("
        + "; ".join(f"{name}: {reason}" for name, reason in refused)
        + ")",
        hint="A model that answers the same row differently each time can't be explained; one with predict or "
        "predict_proba that gives numbers can.",
    )


def distance(sums: Floats, outputs: Floats) -> float:
    """Return the largest difference, relative to outputs above 1; NaN where one side is no number.

    >>> distance(np.array([[1.5]]), np.array([[1.0]]))
    0.5
    """
    if sums.shape != outputs.shape:
        raise ValueError(f"it explains {sums.shape[1]} outputs and the model has {outputs.shape[1]}")
    gap = np.abs(sums - outputs) / np.maximum(np.abs(outputs), 1.0)
    return float(gap.max(initial=0.0))


def bounded(explainer: Explainer, subject: Subject, seconds: float) -> tuple[Part, Prepared]:
    """Explain rows, a second's worth at a time, until all are done or the time is over."""
    end = time.monotonic() + seconds
    stage(f"explaining: {explainer.name}")
    prepared = explainer.prepare(subject)
    total, size, done = len(subject.rows), FIRST_ROWS, 0
    parts: list[Part] = []
    while done < total:
        began = time.monotonic()
        parts.append(prepared.explain(subject.rows.iloc[done : done + size]))
        done = min(done + size, total)
        took = max(time.monotonic() - began, 1e-4)
        left = end - time.monotonic()
        if left <= 0:
            break
        stage(f"explaining: {explainer.name}, {done:,} of {total:,} rows")
        size = max(int(size * min(PART_SECONDS, left) / took), 1)
    return _joined(parts), prepared


def _joined(parts: list[Part]) -> Part:
    values = np.concatenate([part.values for part in parts])
    if any(part.rebased is None for part in parts):
        return Part(values)
    rebased: list[Any] = [part.rebased for part in parts]
    return Part(values, lambda places: np.concatenate([one(places) for one in rebased]))


def _one_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")[:160]
