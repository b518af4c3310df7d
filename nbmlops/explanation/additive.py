"""What a server needs to explain a linear model without it: what each value of each raw column adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nbmlops.core.errors import InvalidInput
from nbmlops.core.quiet import quiet_answers
from nbmlops.explanation.choice import TOLERANCE, distance
from nbmlops.explanation.linear import Linear
from nbmlops.explanation.seam import EXPLAINER_ERRORS, Prepared
from nbmlops.explanation.subject import LOG, PROBABILITY, VALUE, Floats, Subject
from nbmlops.serving.explain.additive import LINKS, Additive, Term, is_null, key

if TYPE_CHECKING:
    import pandas as pd

MOST_LEVELS = 500
UNSEEN = "\x00never seen"
STRAIGHT = 1e-9
POINTS = 9
REACH = 3.0  # times the span, beyond which a line is still tried
NEXT = "Serve it without --explain; %explain explains it, or one of its predictions, here."


def additive(subject: Subject) -> dict[str, Any]:
    """Return how a model adds up, as plain data that `nbmlops.serving.explain.additive` reads.

    Each column's term is found by asking for the contribution of its values: a line where they lie on one, else a table
    of levels. That holds for whatever prepares single columns (scaling, one-hot and target encoding, imputing), and is
    compared with the model's own answers at the end.

    Raises
    ------
    InvalidInput
        The model is not linear, a step mixes columns or bends one, or there are no probabilities to compare with.
    """
    if not Linear().can_explain(subject):
        raise InvalidInput(
            f"a {type(subject.last).__name__} can't be explained cheaply where it is served",
            expected="a linear model, in a pipeline or not",
            hint=NEXT,
        )
    try:
        with quiet_answers():
            prepared = Linear().prepare(subject)
            terms = [_term(subject, prepared, place) for place in range(len(subject.columns))]
            made = _linked(subject, prepared, terms)
    except EXPLAINER_ERRORS as error:
        raise InvalidInput(f"it can't be explained where it is served: {error}", hint=NEXT) from error
    found: dict[str, Any] = msgspec.to_builtins(made)
    return found


def _linked(subject: Subject, prepared: Prepared, terms: list[Term]) -> Additive:
    """Return the terms with the link under which they give the model's own answers."""
    rows = subject.background
    scale = PROBABILITY if subject.classes else VALUE
    if subject.classes and not hasattr(subject.model, "predict_proba"):
        raise ValueError("it has no probabilities to compare with")
    own = subject.output(scale, rows)
    columns = [rows.iloc[:, place].tolist() for place in range(rows.shape[1])]
    links = ("logistic", "softmax") if subject.classes else ("exp",) if prepared.scale == LOG else ("identity",)
    for link in links:
        made = Additive(prepared.base_values.tolist(), prepared.scale, link, list(subject.outputs), terms)
        sums = made.contributions(columns).sum(axis=1) + prepared.base_values
        answers = LINKS[link](sums)
        if answers.shape == own.shape and distance(answers, own) <= TOLERANCE / 10:
            return made
    raise ValueError("its terms do not give its own answers")


def _term(subject: Subject, prepared: Prepared, place: int) -> Term:
    column = subject.background.iloc[:, place]
    missing = _asked(subject, prepared, place, values=[None])
    known = [value for value in column.drop_duplicates().tolist() if not is_null(value)]
    said: dict[str, Any] = {"name": subject.columns[place], "missing": None if missing is None else missing[0].tolist()}
    numeric = column.dtype.kind in "iuf"
    if numeric and known:
        points = _points(column)
        line = _asked(subject, prepared, place, values=points)
        if line is not None and (found := _line(np.array(points, dtype=np.float64), line)) is not None:
            return Term(slope=found[0].tolist(), intercept=found[1].tolist(), **said)
    if len(known) > MOST_LEVELS or column.dtype.kind in "mM":
        raise ValueError(f"what {subject.columns[place]!r} adds is neither a line nor a table")
    values = _asked(subject, prepared, place, values=known)
    if values is None:
        raise ValueError(f"what {subject.columns[place]!r} adds can't be told")
    other = None if numeric or column.dtype.kind == "b" else _asked(subject, prepared, place, values=[UNSEEN])
    levels = {key(value): row.tolist() for value, row in zip(known, values, strict=True)}
    return Term(levels=levels, other=None if other is None else other[0].tolist(), **said)


def _points(column: pd.Series[Any]) -> list[Any]:
    low, high = float(column.min()), float(column.max())
    span = REACH * max(high - low, 1.0)
    points = np.linspace(low - span, high + span, POINTS).tolist()
    return [round(point) for point in points] if column.dtype.kind in "iu" else points


def _line(points: Floats, values: Floats) -> tuple[Floats, Floats] | None:
    """Return slopes and intercepts, each of shape (n_outputs,), where the values lie on lines."""
    slope = (values[-1] - values[0]) / (points[-1] - points[0])
    intercept = values[0] - slope * points[0]
    gap = np.abs(points[:, None] * slope + intercept - values).max()
    return (slope, intercept) if gap <= STRAIGHT * max(float(np.abs(values).max()), 1.0) else None


def _asked(subject: Subject, prepared: Prepared, place: int, *, values: list[Any]) -> Floats | None:
    """Return what some values of one column add, shape (n_values, n_outputs); None where the model takes none such."""
    import pandas as pd

    column = subject.background.iloc[:, place]
    frame = subject.background.iloc[np.zeros(len(values), dtype=int)].reset_index(drop=True)
    try:
        categorical = isinstance(column.dtype, pd.CategoricalDtype) and UNSEEN in values
        dtype: Any = object if categorical else column.dtype
        frame.isetitem(place, pd.Series(values, dtype=dtype).array)
        found = prepared.explain(frame).values[:, place]
    except EXPLAINER_ERRORS:
        return None
    return found if np.isfinite(found).all() else None
