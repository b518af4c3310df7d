"""Statistics of one column, as plain data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nbmlops.capture.columns import Content, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_ROWS = 100_000
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
TOP = 10
LONGEST_VALUE = 100  # characters


def sample(rows: int, most: int = SAMPLE_ROWS) -> NDArray[np.int64]:
    """Return the rows that are looked at: all, or about `most` drawn evenly over the whole, the same each time."""
    if rows <= most:
        return np.arange(rows)
    drawn = (np.arange(most) + np.random.default_rng(0).random(most)) * (rows / most)
    return np.unique(drawn.astype(np.int64))


def describe(content: Content, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return the statistics of a column.

    ``missing``, ``min``, ``max``, ``mean`` and ``std`` are exact and leave out missing and infinite values (these are
    counted as ``infinite``); ``distinct``, ``quantiles`` and ``top`` are counted on the sample.

    Parameters
    ----------
    content : Content
    rows : numpy.ndarray of int, shape (n_sampled,)
        The sample's rows.

    Returns
    -------
    dict
        ``type`` (``number``, ``boolean``, ``datetime``, ``duration``, ``text``, ``category``, ``object``),
        ``missing``, ``distinct`` and what fits the type.
    """
    missing = content.missing
    facts: dict[str, Any] = {"type": "object", "missing": 0 if missing is None else int(missing.sum())}
    keep = None if missing is None else ~missing
    if keep is not None:
        rows = rows[keep[rows]]
    values = content.values
    if isinstance(values, np.ndarray):
        return facts | _array(values if keep is None else values[keep], values[rows])
    if isinstance(values, tuple):
        return facts | {"type": "category"} | _counted(_categories(*take(values, rows)))
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return facts | {"type": "text"} | _counted(take(values, rows))
    return facts | {"distinct": None}


def _array(values: NDArray[Any], sampled: NDArray[Any]) -> dict[str, Any]:
    kind = values.dtype.kind
    if kind == "b":
        true = int(values.sum())
        return {"type": "boolean", "distinct": len(np.unique(sampled)), "true": true, "false": len(values) - true}
    if kind in "Mm":
        found: dict[str, Any] = {"type": "datetime" if kind == "M" else "duration"}
        return found | _ranked(values, sampled)
    if kind == "c":
        return {"type": "number", "distinct": len(np.unique(sampled))}
    finite = values if kind != "f" or np.isfinite(values).all() else values[np.isfinite(values)]
    ranked = _ranked(finite, sampled if kind != "f" else sampled[np.isfinite(sampled)])
    infinite = {"infinite": len(values) - len(finite)} if len(finite) < len(values) else {}
    return {"type": "number"} | infinite | ranked | _moments(finite)


def _ranked(values: NDArray[Any], sampled: NDArray[Any]) -> dict[str, Any]:
    """Return what an order gives: extremes of all values; distinct ones and quantiles of the sample."""
    if not len(values):
        return {"distinct": 0}
    ordered = np.sort(sampled)
    distinct = int((ordered[1:] != ordered[:-1]).sum()) + 1 if len(ordered) else 0
    places = [round(level * (len(ordered) - 1)) for level in QUANTILES] if len(ordered) else []
    quantiles = {f"{level:g}": plain(ordered[place]) for level, place in zip(QUANTILES, places, strict=False)}
    return {"distinct": distinct, "min": plain(values.min()), "max": plain(values.max()), "quantiles": quantiles}


def _moments(values: NDArray[Any]) -> dict[str, Any]:
    if not len(values):
        return {}
    wide = np.float64 if values.dtype.itemsize < 8 or values.dtype.kind in "iu" else values.dtype
    with np.errstate(over="ignore", invalid="ignore"):  # a sum that overflows is left out, not warned about
        return {"mean": plain(values.mean(dtype=wide)), "std": plain(values.std(dtype=wide))}


def _categories(codes: NDArray[Any], known: Any) -> pa.Array:
    names = pa.array([str(name) for name in (known.to_pylist() if hasattr(known, "to_pylist") else known)], pa.string())
    return names.take(pa.array(codes))


def _counted(values: Any) -> dict[str, Any]:
    counts = pc.value_counts(values)
    order = pc.select_k_unstable(counts.field("counts"), TOP, [("", "descending")]) if len(counts) else []
    top = [counts[int(place)].as_py() for place in order]
    return {"distinct": len(counts), "top": [{"value": _short(one["values"]), "count": one["counts"]} for one in top]}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def plain(value: Any) -> Any:
    """Return a NumPy scalar as JSON takes it: a moment as text, a number beyond 2**53 as a float."""
    if value.dtype.kind in "Mm":
        return str(value)
    number = value.item()
    if isinstance(number, int):
        return number if abs(number) <= 2**53 else float(number)
    return number if math.isfinite(number) else None
