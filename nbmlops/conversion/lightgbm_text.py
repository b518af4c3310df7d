"""What LightGBM wrote of a Booster as text: the one place where its thresholds stand with all their digits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.conversion.trees import LEAF, Tree, constant_tree
from nbmlops.core.errors import InvalidObject

BEGIN, END = "Tree=", "end of trees"
CATEGORICAL, DEFAULT_LEFT = 1, 2
NONE, ZERO = 0, 1  # kinds of missing values: none, where NaN counts as zero; zero; NaN


@dataclass(frozen=True)
class Header:
    """What holds for all trees of a Booster.

    Attributes
    ----------
    objective : str
        With its settings, as in ``binary sigmoid:1``; empty where it is the user's own.
    targets : int
        Sums, one for each class of several, else one.
    average : bool
        Whether the answer is the mean of the trees.
    linear, categories : bool
        Whether leaves hold linear models, and nodes sets of categories.
    """

    objective: str
    targets: int
    average: bool
    linear: bool
    categories: bool


def header_of(booster: Any) -> Header:
    """Return what holds for all trees of `booster`."""
    text = _text(booster)
    top, *trees = text.partition(END)[0].split(BEGIN)
    known = _lines(top)
    return Header(
        objective=known.get("objective", ""),
        targets=int(known["num_tree_per_iteration"]),
        average="average_output" in top.splitlines(),
        linear=any("\nis_linear=1" in one for one in trees),
        categories=any("\nnum_cat=0\n" not in one for one in trees),
    )


def trees_of(booster: Any) -> Iterator[Tree]:
    """Yield the trees that a prediction adds up, in that order.

    Raises
    ------
    InvalidObject
        A tree parts by categories, or counts zeros as missing.
    """
    targets = header_of(booster).targets
    for number, block in enumerate(_text(booster).partition(END)[0].split(BEGIN)[1:]):
        yield _tree(_lines(block), number % targets)


def _text(booster: Any) -> str:
    return str(booster.model_to_string())


def _lines(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, sign, value in pairs if sign}


def _tree(known: Mapping[str, str], target: int) -> Tree:
    values = _numbers(known["leaf_value"], np.float64)
    if int(known["num_leaves"]) < 2:
        return constant_tree(float(values[0]), target)
    decisions = _numbers(known["decision_type"], np.int64)
    missing = decisions >> 2
    if (decisions & CATEGORICAL).any():
        raise InvalidObject("its trees part by categories, whose codes are not in the model")
    if (missing == ZERO).any():
        raise InvalidObject("it counts zeros as missing")
    threshold = _numbers(known["threshold"], np.float64)
    inner = len(threshold)
    rest = np.zeros(len(values))
    to_left = np.where(missing == NONE, threshold >= 0, (decisions & DEFAULT_LEFT) > 0)
    return Tree(
        left=_children(known["left_child"], inner, len(values)),
        right=_children(known["right_child"], inner, len(values)),
        feature=np.append(_numbers(known["split_feature"], np.int64), rest.astype(np.int64)),
        threshold=np.append(threshold, rest),
        missing_left=np.append(to_left, rest.astype(bool)),
        values=np.append(np.zeros(inner), values)[:, None],
        target=target,
    )


def _children(text: str, inner: int, leaves: int) -> npt.NDArray[np.int64]:
    """Return the next nodes, leaves behind the inner ones; the text numbers leaves from -1 downwards."""
    found = _numbers(text, np.int64)
    return np.append(np.where(found < 0, inner + ~found, found), np.full(leaves, LEAF))


def _numbers(text: str, dtype: Any) -> npt.NDArray[Any]:
    return np.array(text.split(), dtype=dtype)
