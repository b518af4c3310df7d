"""Rows that a saved sample may lack and a request may hold, made from it by changing one cell or a few.

Nulls, categories never seen, empty texts, the ends of each range and far beyond, whole numbers that float32 can't
hold, and numbers next to where the model's answer changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmlops.registry.nulls import BY_MODEL

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST = 300  # rows of a kind
BASES = 2  # rows of the sample that each value is tried in
FAR = 10.0  # ranges away from the sample's ends
HUGE = 1e30
BEYOND_FLOAT32 = (2**24 + 1, 1_700_000_001)
"""The first whole number that float32 can't hold, and a time in epoch seconds that it can't either."""
UNSEEN = "a category never seen"
NEW_NULLS = "nulls that the data had not"


@dataclass(frozen=True)
class Probe:
    """Changed rows of one kind.

    Attributes
    ----------
    what : str
        The kind, in words.
    rows : pandas.DataFrame, shape (n_rows, n_features)
    spared : tuple of str
        Columns that a model which answers these rows otherwise may be served without nulls in; empty where it may not.
    across : ndarray of int, or None
        For each row the place of its neighbour across a step of the answers, or -1.
    """

    what: str
    rows: pd.DataFrame
    spared: tuple[str, ...] = ()
    across: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Column:
    """What a column may hold.

    Attributes
    ----------
    name : str
    kind : str
        ``float64``, ``float32``, ``integer``, ``text``, or ``other``, whose cells stay as they are.
    nulls : str
        ``seen`` in the data, ``answered`` by the fitted object although the data had none, or empty.
    low, high : float
        Of a number: the ends of its range in the sample, and for whole numbers of `most`.
    most : int
        The largest whole number of its type.
    example : str
        A text of the column.
    """

    name: str
    kind: str
    nulls: str = ""
    low: float = 0.0
    high: float = 0.0
    most: int = 0
    example: str = ""


Edit = tuple[int, str, Any]
Values = Callable[[Column], Sequence[Any]]


def probes(inputs: pd.DataFrame, signature: Mapping[str, Any]) -> tuple[Probe, ...]:
    """Return the probes that need no look at the model, those without rows left out.

    Parameters
    ----------
    inputs : pandas.DataFrame, shape (n_rows, n_features)
        The saved sample.
    signature : mapping
    """
    columns = columns_of(inputs, signature)
    answered = tuple(column.name for column in columns if column.nulls == "answered")
    kinds: list[tuple[str, Values]] = [
        ("nulls", lambda column: [None] if column.nulls == "seen" else []),
        (NEW_NULLS, lambda column: [None] if column.nulls == "answered" else []),
        ("categories never seen", lambda column: [UNSEEN] if column.kind == "text" else []),
        ("empty texts", lambda column: [""] if column.kind == "text" else []),
        ("texts written otherwise", _otherwise),
        ("the ends of the range", _ends),
        ("numbers far outside the range", _far),
        ("huge numbers", lambda column: [HUGE, -HUGE] if column.kind.startswith("float") else []),
        ("whole numbers that float32 can't hold", _beyond),
    ]
    made = []
    for what, values in kinds:
        edits = _spread(columns, values, len(inputs))
        if edits:
            made.append(Probe(what, edited(inputs, edits), answered if what == NEW_NULLS else ()))
    return tuple(made)


def columns_of(inputs: pd.DataFrame, signature: Mapping[str, Any]) -> list[Column]:
    """Return what each column of the sample may hold; none where the signature says nothing."""
    declared = signature.get("inputs")
    if isinstance(declared, Mapping) and "tensor" in declared:
        tensor = declared["tensor"]
        nulls = "seen" if tensor.get("nullable") and tensor.get("nulls") != BY_MODEL else ""
        return [_column(inputs[name], str(name), nulls=nulls) for name in inputs.columns[:MOST]]
    if not isinstance(declared, list):
        return []
    nulls_of = {
        one["name"]: ("answered" if one.get("nulls") == BY_MODEL else "seen") if one.get("nullable") else ""
        for one in declared
    }
    # Where the model takes the values alone that it knows, no other reaches it.
    closed = {one["name"] for one in declared if one.get("categories") is not None}
    known = [name for name in nulls_of if name in inputs]
    return [
        Column(name, "other", nulls_of[name]) if name in closed else _column(inputs[name], name, nulls=nulls_of[name])
        for name in known
    ]


def _column(values: pd.Series, name: str, *, nulls: str) -> Column:
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, pd.StringDtype) or pd.api.types.is_object_dtype(dtype):
        known = values.dropna().tolist()
        if all(isinstance(one, str) for one in known):
            return Column(name, "text", nulls, example=max(known, key=len, default=""))
        return Column(name, "other", nulls)
    if not isinstance(dtype, np.dtype) or dtype.kind not in "fiu":
        return Column(name, "other", nulls)
    kind = str(dtype) if str(dtype) in {"float64", "float32"} else "integer" if dtype.kind in "iu" else "other"
    finite = values.to_numpy()[np.isfinite(values.to_numpy())]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Column(name, kind, nulls, low, high, int(np.iinfo(dtype).max) if kind == "integer" else 0)


def _otherwise(column: Column) -> list[Any]:
    text = column.example
    return [text.upper(), f" {text} !", f"{text} Été"] if column.kind == "text" and text else []


def _ends(column: Column) -> list[Any]:
    return _typed(column, [column.low, column.high])


def _far(column: Column) -> list[Any]:
    span = FAR * max(column.high - column.low, 1.0)
    return [column.high + span, column.low - span] if column.kind.startswith("float") else []


def _beyond(column: Column) -> list[Any]:
    return _typed(column, [number for number in BEYOND_FLOAT32 if column.kind != "float32"])


def _typed(column: Column, values: Sequence[float]) -> list[Any]:
    """Return the numbers that fit the column, as whole ones where it holds those."""
    if column.kind == "integer":
        return [int(value) for value in values if int(value) <= column.most]
    return [float(value) for value in values] if column.kind.startswith("float") else []


def _spread(columns: Sequence[Column], values: Values, rows: int) -> list[Edit]:
    """Return each value of each column in a few rows of the sample, at most `MOST` rows in all."""
    wanted = [(column.name, value) for column in columns for value in values(column)]
    bases = BASES if len(wanted) * BASES <= MOST else 1
    step = max(len(wanted) / MOST, 1.0)
    chosen = [wanted[int(place * step)] for place in range(int(len(wanted) / step))]
    return [
        ((place * bases + base) % rows, name, value)
        for place, (name, value) in enumerate(chosen)
        for base in range(bases)
    ]


def edited(inputs: pd.DataFrame, edits: Sequence[Edit]) -> pd.DataFrame:
    """Return one row for each edit: a row of `inputs`, by its place, with a value in a column; dtypes stay."""
    import pandas as pd

    made = inputs.iloc[[row for row, _, _ in edits]].reset_index(drop=True)
    changes: dict[str, list[tuple[int, Any]]] = {}
    for place, (_, name, value) in enumerate(edits):
        changes.setdefault(name, []).append((place, value))
    for name, cells in changes.items():
        values = made[name].astype(object).tolist()
        for place, value in cells:
            values[place] = value
        made[name] = pd.Series(values, index=made.index, dtype=made[name].dtype)
    return made
