"""Steps of scikit-learn that map each number by itself, written in float64: bins and power transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.conversion.emitting import Emitter

LOGARITHM = np.finfo(np.float64).eps
"""Exponents nearer to zero (or, below zero, to two) mean the logarithm, as in SciPy."""


def bins_width(discretizer: Any) -> int:
    """Return how many columns a KBinsDiscretizer makes."""
    ordinal = discretizer.encode == "ordinal"
    return len(discretizer.n_bins_) if ordinal else int(np.sum(discretizer.n_bins_))


def bins(scope: Any, operator: Any, container: Any) -> None:
    """Convert a KBinsDiscretizer: the bin of a number is how many of the inner edges are at most that number."""
    emit = Emitter(scope, operator, container)
    step = emit.step
    inner = [np.asarray(edges[1:-1], dtype=np.float64) for edges in step.bin_edges_]
    widest = max(len(edges) for edges in inner)
    edges = np.full((1, len(inner), max(widest, 1)), np.nan)  # no number is at or above NaN
    for place, one in enumerate(inner):
        edges[0, place, : len(one)] = one
    each = emit.node("Unsqueeze", emit.numbers(), emit.constant(np.array([2])))
    reached = emit.cast(emit.node("GreaterOrEqual", each, emit.constant(edges)), np.float64)
    codes = emit.node("ReduceSum", reached, emit.constant(np.array([2])), keepdims=0)
    if step.encode == "ordinal":
        emit.answer(codes)
        return
    flat = emit.constant(np.array([-1]))
    columns = [
        emit.node(
            "Gather",
            emit.constant(np.eye(int(count))),
            emit.node("Reshape", emit.cast(emit.column(codes, place), np.int64), flat),
            axis=0,
        )
        for place, count in enumerate(step.n_bins_)
    ]
    emit.answer(columns[0] if len(columns) == 1 else emit.node("Concat", *columns, axis=1))


def powers(scope: Any, operator: Any, container: Any) -> None:
    """Convert a PowerTransformer, with its scaler.

    References
    ----------
    I.-K. Yeo and R. A. Johnson, "A new family of power transformations to improve normality or symmetry",
    Biometrika 87 (2000).
    """
    emit = Emitter(scope, operator, container)
    step, given = emit.step, emit.numbers()
    exponents = np.asarray(step.lambdas_, dtype=np.float64)
    if step.method == "box-cox":
        made = _power(emit, given, exponents)
    else:
        one, zero = emit.constant(np.float64(1)), emit.constant(np.float64(0))
        above = _power(emit, emit.node("Add", emit.node("Max", given, zero), one), exponents)
        below = _power(emit, emit.node("Sub", one, emit.node("Min", given, zero)), 2 - exponents)
        made = emit.node("Where", emit.node("Less", given, zero), emit.node("Neg", below), above)
    if step.standardize:
        scaler = step._scaler
        centred = emit.node("Sub", made, emit.constant(np.asarray(scaler.mean_, dtype=np.float64)))
        made = emit.node("Div", centred, emit.constant(np.asarray(scaler.scale_, dtype=np.float64)))
    emit.answer(made)


def _power(emit: Emitter, base: str, exponents: npt.NDArray[np.float64]) -> str:
    """Return the name of (base ** exponent - 1) / exponent, which is the logarithm where the exponent is zero."""
    logarithm = np.abs(exponents) < LOGARITHM
    some = np.where(logarithm, 1.0, exponents)
    raised = emit.node("Pow", base, emit.constant(some))
    curved = emit.node("Div", emit.node("Sub", raised, emit.constant(np.float64(1))), emit.constant(some))
    if not logarithm.any():
        return curved
    return emit.node("Where", emit.constant(logarithm), emit.node("Log", base), curved)
