"""Which columns of numbers a fitted estimator answers nulls in, though its training data had none there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbmlops.core.quiet import quiet_answers
from nbmlops.registry import kinds, sample
from nbmlops.registry.tables import Inputs

if TYPE_CHECKING:
    import pandas as pd

BY_DATA, BY_MODEL = "data", "model"
"""Why a column takes nulls: the training data had some, or the model answers them all the same."""

ASKED = (kinds.SKLEARN, kinds.XGBOOST, kinds.LIGHTGBM, kinds.CATBOOST)
CALLS = 6  # registering stays quick; a column that is not settled by then takes no nulls
ROWS = 32
REFUSALS = (*kinds.HOOK_ERRORS, ArithmeticError)


def answered(obj: Any, inputs: Inputs, drawn: pd.DataFrame) -> set[str]:
    """Return the names of the columns without a null in the data in which `obj` answers one.

    It is asked for one row with a null in each such column, all in one call; where it refuses, for half of them, and
    so on. An answer that is no finite number is none.

    Parameters
    ----------
    obj : object
        Only an estimator is asked.
    inputs : Inputs
    drawn : pandas.DataFrame, shape (n_rows, n_columns)
        Rows that it answers.
    """
    names = [name for name in drawn.columns if drawn[name].dtype.kind == "f" and not inputs.frame[name].isna().any()]
    if kinds.kind_of(obj) not in ASKED or not names or drawn.empty:
        return set()
    size = -(-len(names) // ROWS)
    groups = [names[start : start + size] for start in range(0, len(names), size)]
    rows = _with_nulls(drawn, groups)
    waiting = [range(len(groups))]
    found: set[str] = set()
    for _ in range(CALLS):
        if not waiting:
            break
        part = waiting.pop(0)
        if answers(obj, inputs.native(rows.iloc[part.start : part.stop])):
            found.update(str(name) for group in groups[part.start : part.stop] for name in group)
        elif len(part) > 1 and hasattr(obj, "steps"):  # a bare estimator refuses all columns alike
            half = len(part) // 2
            waiting += [part[:half], part[half:]]
    return found


def _with_nulls(drawn: pd.DataFrame, groups: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return a row for each group of columns, with nulls in these alone as far as the data allow."""
    import pandas as pd

    whole = drawn.notna().all(axis=1).to_numpy()
    rows = drawn.iloc[[int(whole.argmax())] * len(groups)].reset_index(drop=True)
    # One frame made of whole columns: setting single cells costs more than the model's answer.
    places = {name: number for number, group in enumerate(groups) for name in group}
    return pd.DataFrame(
        {name: rows[name].mask(rows.index == places[name]) if name in places else rows[name] for name in rows.columns}
    )


def answers(obj: Any, rows: Any) -> bool:
    """Whether every row gets a finite answer."""
    import numpy as np

    try:
        with quiet_answers():
            proba = getattr(obj, "predict_proba", None)
            answer = np.asarray(proba(rows) if callable(proba) else sample.predict(obj, rows))
    except REFUSALS:
        return False
    return answer.dtype.kind != "f" or bool(np.isfinite(answer).all())
