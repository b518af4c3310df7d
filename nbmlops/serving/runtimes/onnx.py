"""ONNX Runtime: one thread, no spinning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, OnnxInput, OnnxOutputs
from ..documents import OUTPUTS, Output
from ..errors import ServingError
from ..inputs import Generic, ModelInput, Table, Tensors
from ..outputs import Outputs
from .providers import make_session

Array = NDArray[Any]
_Plan = list[tuple[list[int] | None, list[str], Any]]
MISSING = "\ufdd0"  # what a converted model takes for a missing text, since ONNX strings know no null


def load(bundle: Bundle) -> OnnxRuntime:
    """Return the runtime of an ONNX bundle."""
    return OnnxRuntime(bundle)


class OnnxRuntime:
    """Feeds columns to the graph's inputs and reads labels and probabilities from its outputs.

    Parameters
    ----------
    bundle : Bundle
    """

    inline = True

    def __init__(self, bundle: Bundle) -> None:
        self._session = make_session(str(bundle.model_path), bundle.manifest.provider)
        self._run = self._session.run
        graph = self._session.get_inputs()
        spec = bundle.manifest.onnx or OnnxOutputs(inputs=[OnnxInput(name=node.name) for node in graph])
        self._label, self._probability = spec.label_output, spec.probability_output
        self._dtypes = {node.name: _numpy_type(node.type) for node in graph}
        self._inputs = spec.inputs
        self._missing = MISSING if bundle.manifest.onnx else ""  # a graph that somebody else made knows none of ours
        names = bundle.signature.names
        feeds = [] if bundle.signature.tensors else [(entry, _indices(entry, names)) for entry in spec.inputs]
        self._first = spec.inputs[0].name
        self._single = [(entry.name, indices[0]) for entry, indices in feeds if len(indices) == 1]
        wide = [(entry.name, tuple(indices)) for entry, indices in feeds if len(indices) != 1]
        self._wide = [(name, indices, self._dtypes[name]) for name, indices in wide]
        self._plans: dict[tuple[int, ...], _Plan] = {}
        # A graph whose first axis is fixed takes one batch size only.
        self.batches = all(node.shape and not isinstance(node.shape[0], int) for node in graph)
        self.outputs = OUTPUTS if self._probability else ("label",)
        self._flat = bundle.signature.tensor is not None or not _two_axes(bundle.signature.outputs)

    def predict(self, data: ModelInput, output: Output, params: Mapping[str, Any] | None = None) -> Outputs:
        """Run the graph, which has no parameters."""
        feeds = self._feed(data)
        if self._label is None:
            names = [node.name for node in self._session.get_outputs()]
            return Outputs(named=dict(zip(names, self._run(None, feeds), strict=True)))
        if output == "label" or self._probability is None:
            return Outputs(labels=self._labels(self._run([self._label], feeds)[0]))
        if output == "probabilities":
            return Outputs(probabilities=self._run([self._probability], feeds)[0])
        labels, probabilities = self._run([self._label, self._probability], feeds)
        return Outputs(self._labels(labels), probabilities)

    def _labels(self, labels: Array) -> Array:
        # Converted regressors answer (n, 1) where scikit-learn answers (n,).
        return labels[:, 0] if self._flat and labels.ndim == 2 and labels.shape[1] == 1 else labels

    def _feed(self, data: ModelInput) -> dict[str, Array]:
        if isinstance(data, Tensors):
            return self._feed_tensors(data)
        if not isinstance(data, Table):
            array = np.array(data.data) if isinstance(data, Generic) else data.array
            return {self._first: array.astype(self._dtypes[self._first], copy=False)}
        feeds: dict[str, Array] = {}
        for block in data.blocks if self._single else ():
            for places, names, dtype in self._plans.get(block.indices) or self._plan(block.indices):
                array = _cast(block.array if places is None else block.array[places], dtype, self._missing)
                feeds.update(zip(names, array[:, :, None], strict=True))
        for name, indices, dtype in self._wide:
            feeds[name] = _side_by_side(data, indices, dtype, missing=self._missing)
        return feeds

    def _feed_tensors(self, data: Tensors) -> dict[str, Array]:
        arrays = dict(zip(data.names, data.arrays, strict=True))
        feeds = {}
        for entry in self._inputs:
            array = arrays[entry.column if isinstance(entry.column, str) else entry.name]
            feeds[entry.name] = array.astype(self._dtypes[entry.name], copy=False)
        return feeds

    def _plan(self, indices: tuple[int, ...]) -> _Plan:
        """Return which columns of a block feed which inputs of one dtype; all of them where the places are None."""
        kinds: dict[Any, list[tuple[int, str]]] = {}
        for name, index in self._single:
            if index in indices:
                kinds.setdefault(self._dtypes[name], []).append((indices.index(index), name))
        plan: _Plan = []
        for dtype, pairs in kinds.items():
            places = [place for place, _ in pairs]
            whole = places == list(range(len(indices)))
            plan.append((None if whole else places, [name for _, name in pairs], dtype))
        self._plans[indices] = plan
        return plan


def _side_by_side(data: Table, indices: tuple[int, ...], dtype: Any, *, missing: str) -> Array:
    """Return columns as one array of shape (n_rows, n_columns)."""
    for block in data.blocks:
        if block.indices == indices:
            return _cast(block.array, dtype, missing).T
    return np.column_stack([_cast(data.columns[index][None], dtype, missing)[0] for index in indices])


def _cast(array: Array, dtype: Any, missing: str) -> Array:
    if array.dtype.hasobject and dtype.hasobject:
        return _without_nulls(array, missing)
    if array.dtype.kind == "f" and dtype.kind in "iub" and np.isnan(array).any():
        raise ValueError("an input of whole numbers takes no nulls")
    return array.astype(dtype, copy=False)


def _without_nulls(array: Array, missing: str) -> Array:
    values = array.tolist()
    if not any(None in row for row in values):
        return array
    return np.array([[missing if value is None else value for value in row] for row in values], dtype=object)


def _indices(entry: OnnxInput, names: tuple[str, ...]) -> list[int]:
    wanted = names if entry.column is None else [entry.column] if isinstance(entry.column, str) else entry.column
    try:
        return [names.index(name) for name in wanted]
    except ValueError as error:
        message = f"input {entry.name!r} of the graph is fed from a column that the signature lacks: {error}"
        raise ServingError("invalid_bundle", message) from error


def _numpy_type(onnx_type: str) -> Any:
    """Return the numpy dtype of ONNX Runtime's ``tensor(float)``."""
    names = {"float": "float32", "double": "float64", "string": "object"}
    name = onnx_type.removeprefix("tensor(").removesuffix(")")
    return np.dtype(names.get(name, name))


def _two_axes(outputs: Any) -> bool:
    """Whether the fitted model is known to answer with two axes."""
    return isinstance(outputs, dict) and len(outputs.get("tensor", {}).get("shape", [])) == 2
