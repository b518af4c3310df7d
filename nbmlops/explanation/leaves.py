"""The paths to the leaves of scikit-learn's trees, as `Paths` takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nbmlops.explanation.paths import CATEGORIES, Paths
from nbmlops.explanation.subject import Floats

MOST_CONDITIONS = 300_000
"""More than this take longer than TreeSHAP that walks the trees."""

Set = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Node:
    """One node of a tree.

    Attributes
    ----------
    rows : float
        Weight of the training rows that came here.
    value : ndarray, shape (n_outputs,)
        What a leaf adds.
    column, threshold, missing_left
        Of a split: ``x <= threshold`` goes left, NaN where `missing_left` says.
    codes : ndarray of bool, shape (257,), or None
        Of a split on categories: which codes go left.
    left, right : int
        Children; both -1 of a leaf.
    """

    rows: float
    value: Floats
    column: int = -1
    threshold: float = np.nan
    missing_left: bool = False
    codes: Set | None = None
    left: int = -1
    right: int = -1


Tree = list[Node]


@dataclass(frozen=True)
class Condition:
    """What a path asks of one column."""

    low: float = np.nan
    high: float = np.nan
    missing: bool = True
    share: float = 1.0
    codes: Set | None = None

    def after(self, node: Node, share: float, *, left: bool) -> Condition:
        """Return the condition once a split of the same column was passed."""
        share *= self.share
        if node.codes is not None:
            side = node.codes if left else ~node.codes
            return replace(self, share=share, codes=side if self.codes is None else self.codes & side)
        missing = self.missing and node.missing_left == left
        if left:
            return replace(self, share=share, missing=missing, high=np.fmin(self.high, node.threshold))
        return replace(self, share=share, missing=missing, low=np.fmax(self.low, node.threshold))


@dataclass
class _Collected:
    """Conditions and leaves as they are found."""

    conditions: list[tuple[int, Condition]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    base: Any = 0.0

    def add(self, path: dict[int, Condition], value: Floats) -> None:
        reached = np.prod([one.share for one in path.values()])
        self.base = self.base + reached * value
        if not path:
            return
        self.starts.append(len(self.conditions))
        self.conditions.extend(sorted(path.items()))
        self.values.append(value)
        if len(self.conditions) > MOST_CONDITIONS:
            raise ValueError(f"its trees have more than {MOST_CONDITIONS:,} conditions on the ways to their leaves")


def paths_of(trees: Iterator[Tree], constant: Floats) -> Paths:
    """Return the paths of trees that are added up, on top of a constant.

    Parameters
    ----------
    trees : iterator of list of Node
        The root comes first.
    constant : ndarray, shape (n_outputs,)

    Raises
    ------
    ValueError
        The trees are too large, or a branch was reached by no training row.
    """
    found = _Collected(base=np.asarray(constant, dtype=np.float64))
    for tree in trees:
        _walk(tree, found)
    return _arrays(found)


def _walk(tree: Tree, found: _Collected) -> None:
    waiting: list[tuple[int, dict[int, Condition]]] = [(0, {})]
    while waiting:
        place, path = waiting.pop()
        node = tree[place]
        if node.left < 0:
            found.add(path, node.value)
            continue
        for child, left in ((node.left, True), (node.right, False)):
            share = tree[child].rows / node.rows
            if not share > 0:
                raise ValueError("a branch of its trees was reached by no training row")
            passed = path.get(node.column, Condition()).after(node, share, left=left)
            waiting.append((child, {**path, node.column: passed}))


def _arrays(found: _Collected) -> Paths:
    columns = [column for column, _ in found.conditions]
    conditions = [one for _, one in found.conditions]
    coded = [one.codes for one in conditions if one.codes is not None]
    category = np.full(len(conditions), -1)
    category[[place for place, one in enumerate(conditions) if one.codes is not None]] = np.arange(len(coded))
    outputs = len(found.base)
    return Paths(
        column=np.array(columns, dtype=np.int64),
        low=np.array([one.low for one in conditions], dtype=np.float64),
        high=np.array([one.high for one in conditions], dtype=np.float64),
        missing=np.array([one.missing for one in conditions], dtype=np.bool_),
        share=np.array([one.share for one in conditions], dtype=np.float64),
        category=category.astype(np.int64),
        sets=np.array(coded, dtype=np.bool_).reshape(len(coded), CATEGORIES + 1),
        start=np.array(found.starts, dtype=np.int64),
        value=np.array(found.values, dtype=np.float64).reshape(len(found.values), outputs),
        base=found.base,
    )


def sklearn_tree(tree: Any, value: Floats) -> Tree:
    """Return the nodes of a ``sklearn.tree`` tree, whose nodes are worth `value`, shape (n_nodes, n_outputs)."""
    missing = getattr(tree, "missing_go_to_left", np.zeros(tree.node_count, dtype=bool))
    return [
        Node(
            rows=float(tree.weighted_n_node_samples[place]),
            value=value[place],
            column=int(tree.feature[place]),
            threshold=float(tree.threshold[place]),
            missing_left=bool(missing[place]),
            left=int(tree.children_left[place]),
            right=int(tree.children_right[place]),
        )
        for place in range(tree.node_count)
    ]


def histogram_trees(model: Any) -> Iterator[Tree]:
    """Yield the trees of a histogram gradient boosting model, categories as sets of codes."""
    outputs = len(model._predictors[0])
    for stage in model._predictors:
        for output, predictor in enumerate(stage):
            of = one_hot(output, outputs)
            yield [_histogram_node(node, predictor.raw_left_cat_bitsets, output=of) for node in predictor.nodes]


def one_hot(place: int, length: int) -> Floats:
    """Return a row that is 1 at `place`.

    >>> one_hot(1, 3)
    array([0., 1., 0.])
    """
    row = np.zeros(length)
    row[place] = 1.0
    return row


def _histogram_node(node: Any, bitsets: Any, *, output: Floats) -> Node:
    value = float(node["value"]) * output
    if node["is_leaf"]:
        return Node(float(node["count"]), value)
    column, missing = int(node["feature_idx"]), bool(node["missing_go_to_left"])
    codes = None
    if node["is_categorical"]:
        # The model's own encoder makes a category that training never saw a missing one.
        codes = np.append(_bits(bitsets[int(node["bitset_idx"])]), missing)
    return Node(
        rows=float(node["count"]),
        value=value,
        column=column,
        threshold=float(node["num_threshold"]),
        missing_left=missing,
        codes=codes,
        left=int(node["left"]),
        right=int(node["right"]),
    )


def _bits(words: Any) -> Set:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little").astype(bool)
