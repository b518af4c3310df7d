"""More rows like those of a sample: each column's own values, mixed, and numbers between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SEED = 20132
SHARE = 0.5
CELLS = 20_000_000
"""Cells that are made at most: rows of images are wide."""


def mixed(known: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return `rows` rows within the ranges that `known` shows, always the same ones.

    Half of the cells of each row stay as they were in one of the known rows, so that what belongs together mostly
    stays so; the others come from other rows, and half of the fractional numbers move towards a third row's.

    Parameters
    ----------
    known : pandas.DataFrame, shape (n_rows, n_features)
    rows : int
    """
    import numpy as np
    import pandas as pd

    rows = min(rows, CELLS // max(known.shape[1], 1))
    draw = np.random.default_rng(SEED)
    first = draw.integers(0, len(known), rows)
    dtypes = set(known.dtypes)
    if len(dtypes) == 1 and _is_fractional(next(iter(dtypes))):
        return pd.DataFrame(_mixed(known.to_numpy(), first, draw), columns=known.columns)
    made = known.iloc[first].reset_index(drop=True)
    for name in known.columns:
        values = known[name]
        if _is_fractional(values.dtype):
            made[name] = _mixed(values.to_numpy()[:, None], first, draw)[:, 0]
        else:
            made[name] = values.iloc[_taken(first, len(known), draw)].reset_index(drop=True)
    return made


def _is_fractional(dtype: Any) -> bool:
    import numpy as np

    return isinstance(dtype, np.dtype) and dtype.kind == "f"


def _mixed(values: np.ndarray[Any, Any], first: np.ndarray[Any, Any], draw: np.random.Generator) -> Any:
    import numpy as np

    shape, columns = (len(first), values.shape[1]), np.arange(values.shape[1])
    start = values[np.where(draw.random(shape) < SHARE, first[:, None], draw.integers(0, len(values), shape)), columns]
    other = values[draw.integers(0, len(values), shape), columns]
    moved = start + draw.random(shape) * (other - start)
    stays = (draw.random(shape) < SHARE) | ~np.isfinite(moved)  # a gap and an infinity stay what they are
    return np.where(stays, start, moved).astype(values.dtype)


def _taken(first: np.ndarray[Any, Any], count: int, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.where(draw.random(len(first)) < SHARE, first, draw.integers(0, count, len(first)))
