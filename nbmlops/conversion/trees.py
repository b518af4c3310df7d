"""Trees of any library as plain arrays, and the nodes of ONNX that add them up, in float64 or float32.

``TreeEnsemble`` of ``ai.onnx.ml`` 5 sums in the type of its inputs, but a leaf of it belongs to one sum alone. The
older ``TreeEnsembleClassifier`` takes leaves with one number for each class, compares and adds in float64 too, and
rounds the sums to float32 only after it has taken the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nbmlops.conversion.emitting import ML, Emitter
from nbmlops.conversion.graphs import ML_OPSET

if TYPE_CHECKING:
    import onnx

LEAF = -1
SUM = 1
LESS_OR_EQUAL, MEMBER = 0, 6  # of the modes of a node of TreeEnsemble
FEWEST_CLASSES = 3
"""Of two classes ONNX Runtime takes the label by other rules, some of its versions without looking at the first."""


@dataclass(frozen=True)
class Tree:
    """One tree; a row goes left where its number is at most the threshold, or among the categories, of a node.

    Attributes
    ----------
    left, right : ndarray of int, shape (n_nodes,)
        The next nodes, `LEAF` in a leaf. The root is node 0.
    feature : ndarray of int, shape (n_nodes,)
    threshold : ndarray of float, shape (n_nodes,)
    missing_left : ndarray of bool, shape (n_nodes,)
        Whether NaN goes left.
    values : ndarray of float, shape (n_nodes, n_values)
        What a leaf adds; of inner nodes anything.
    target : int
        The sum that the first of `values` belongs to.
    members : mapping of int to ndarray of float
        The categories of the nodes that part by these.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    missing_left: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float64]
    target: int = 0
    members: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)

    @property
    def leaves(self) -> npt.NDArray[np.bool_]:
        """Whether each node is a leaf."""
        return np.asarray(self.left == LEAF)


def constant_tree(value: float, target: int = 0) -> Tree:
    """Return a tree that adds the same to every row: put first, it lets sums begin where the library's begin."""
    return Tree(
        left=np.array([LEAF]),
        right=np.array([LEAF]),
        feature=np.array([0]),
        threshold=np.array([0.0]),
        missing_left=np.array([False]),
        values=np.array([[value]]),
        target=target,
    )


def rounded_down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the largest float32 at or below each threshold: it parts all float32 numbers as the threshold does.

    >>> rounded_down(np.array([0.1, 16777217.0, 0.5]))
    array([9.9999994e-02, 1.6777216e+07, 5.0000000e-01], dtype=float32)
    """
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)


def sums(emit: Emitter, given: str, trees: Sequence[Tree], *, targets: int, dtype: npt.DTypeLike = np.float64) -> str:
    """Write a ``TreeEnsemble`` and return the name of its sums, shape (n_rows, n_targets).

    A tree of several values is written once for each of them.

    Parameters
    ----------
    emit : Emitter
    given : str
        Numbers of type `dtype`, shape (n_rows, n_features).
    trees : sequence of Tree
        Added in this order.
    targets : int
        How many sums there are.
    dtype : dtype
        float64, or float32 with thresholds rounded.
    """
    table = _Table(np.dtype(dtype))
    for tree in trees:
        for place in range(tree.values.shape[1]):
            table.add(tree, place)
    return emit.node("TreeEnsemble", given, domain=ML, version=ML_OPSET, n_targets=targets, **table.attributes())


class _Table:
    """The attributes of a ``TreeEnsemble``, which numbers inner nodes and leaves of all trees apart."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._nodes = self._leaves = 0
        self._columns: dict[str, list[npt.NDArray[Any]]] = {}
        self._roots: list[int] = []

    def add(self, tree: Tree, place: int) -> None:
        """Add a tree, with value number `place` of its leaves."""
        leaves = tree.leaves
        inner = ~leaves
        number = np.where(leaves, np.cumsum(leaves) - 1 + self._leaves, np.cumsum(inner) - 1 + self._nodes)
        self._roots.append(self._nodes)
        if leaves[0]:  # a root is an inner node: both of its branches lead to the one leaf
            inner = np.array([True])
            left = right = np.array([0])
        else:
            left, right = tree.left[inner], tree.right[inner]
        modes = np.array([MEMBER if node in tree.members else LESS_OR_EQUAL for node in np.flatnonzero(inner)])
        self._put("nodes_featureids", tree.feature[inner])
        self._put("nodes_splits", tree.threshold[inner])
        self._put("nodes_modes", modes)
        self._put("nodes_missing_value_tracks_true", tree.missing_left[inner])
        self._put("nodes_truenodeids", number[left])
        self._put("nodes_trueleafs", leaves[left])
        self._put("nodes_falsenodeids", number[right])
        self._put("nodes_falseleafs", leaves[right])
        self._put("leaf_weights", tree.values[leaves, place])
        self._put("leaf_targetids", np.full(int(leaves.sum()), tree.target + place))
        for node in sorted(tree.members):
            self._put("membership_values", np.append(tree.members[node], np.nan))
        self._nodes += int(inner.sum())
        self._leaves += int(leaves.sum())

    def _put(self, name: str, values: npt.NDArray[Any]) -> None:
        self._columns.setdefault(name, []).append(values)

    def attributes(self) -> dict[str, Any]:
        whole = {name: np.concatenate(pieces) for name, pieces in self._columns.items()}
        made: dict[str, Any] = {
            "aggregate_function": SUM,
            "post_transform": 0,
            "tree_roots": self._roots,
            "nodes_modes": _tensor(whole.pop("nodes_modes").astype(np.uint8)),
            "nodes_splits": _tensor(thresholds_as(whole.pop("nodes_splits"), self._dtype)),
            "leaf_weights": _tensor(whole.pop("leaf_weights").astype(self._dtype)),
        }
        if "membership_values" in whole:
            made["membership_values"] = _tensor(whole.pop("membership_values").astype(self._dtype))
        return made | {name: values.astype(np.int64).tolist() for name, values in whole.items()}


def votes(
    emit: Emitter, given: str, trees: Sequence[Tree], *, targets: int, dtype: npt.DTypeLike = np.float64
) -> tuple[str, str]:
    """Write a ``TreeEnsembleClassifier`` and return the names of the place of the largest sum and of all sums.

    Parameters
    ----------
    emit, given, trees, targets, dtype
        As in `sums`.

    Returns
    -------
    tuple of str
        Places, int64 of shape (n_rows,); sums, float32 of shape (n_rows, n_targets).
    """
    attributes = _nodes(trees, np.dtype(dtype)) | _weights(trees, np.dtype(dtype))
    labels = list(range(max(targets, FEWEST_CLASSES)))
    place, total = emit.nodes(
        "TreeEnsembleClassifier", given, outputs=2, domain=ML, version=ML_OPSET, classlabels_int64s=labels, **attributes
    )
    if targets < FEWEST_CLASSES:
        total = emit.node("Gather", total, emit.constant(np.arange(targets)), axis=1)
    return place, total


def _nodes(trees: Sequence[Tree], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the attributes of the nodes of the older operators, which know no categories."""
    sizes = [len(tree.left) for tree in trees]
    leaves = np.concatenate([tree.leaves for tree in trees])
    thresholds = thresholds_as(np.concatenate([tree.threshold for tree in trees]), dtype)
    name = "nodes_values" if dtype == np.float32 else "nodes_values_as_tensor"
    return {
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_featureids": _inner(trees, "feature", leaves),
        "nodes_truenodeids": _inner(trees, "left", leaves),
        "nodes_falsenodeids": _inner(trees, "right", leaves),
        "nodes_missing_value_tracks_true": _inner(trees, "missing_left", leaves),
        "nodes_modes": np.where(leaves, "LEAF", "BRANCH_LEQ").tolist(),
        name: _attribute(np.where(leaves, 0, thresholds).astype(dtype)),
        "post_transform": "NONE",
    }


def _inner(trees: Sequence[Tree], name: str, leaves: npt.NDArray[np.bool_]) -> list[int]:
    values = np.concatenate([getattr(tree, name) for tree in trees])
    found: list[int] = np.where(leaves, 0, values).astype(np.int64).tolist()
    return found


def _weights(trees: Sequence[Tree], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return the attributes of the leaves, of which most hold zero for most classes: these are left out."""
    treeids, nodeids, ids, weights = [], [], [], []
    for number, tree in enumerate(trees):
        nodes = np.flatnonzero(tree.leaves)
        rows, places = np.nonzero(tree.values[nodes])
        treeids.append(np.full(len(rows), number))
        nodeids.append(nodes[rows])
        ids.append(places + tree.target)
        weights.append(tree.values[nodes[rows], places])
    name = "class_weights" if dtype == np.float32 else "class_weights_as_tensor"
    return {
        "class_treeids": np.concatenate(treeids).tolist(),
        "class_nodeids": np.concatenate(nodeids).tolist(),
        "class_ids": np.concatenate(ids).tolist(),
        name: _attribute(np.concatenate(weights).astype(dtype)),
    }


def thresholds_as(thresholds: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return thresholds in `dtype` that part the numbers of that type as `thresholds` do."""
    return rounded_down(thresholds) if dtype == np.float32 else thresholds


def _attribute(values: npt.NDArray[Any]) -> Any:
    return values.tolist() if values.dtype == np.float32 else _tensor(values)


def _tensor(values: npt.NDArray[Any]) -> onnx.TensorProto:
    from onnx import numpy_helper

    return numpy_helper.from_array(values, "values")
