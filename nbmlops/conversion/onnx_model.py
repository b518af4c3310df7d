"""A converted model: its bytes, what to feed it, and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record
from nbmlops.registry.nulls import BY_MODEL

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    import pandas as pd

MISSING_TEXT = "\ufdd0"
"""What stands for a missing value in a text input, since ONNX strings know no null: a code point that Unicode keeps out
of texts. An empty text is a text, which a model may answer otherwise than a missing one."""
FATAL = 4
"""The level of what ONNX Runtime says while models are tried: what is not fatal it raises as well."""


@dataclass(frozen=True)
class OnnxModel(Record):
    """A model in ONNX.

    Attributes
    ----------
    content : bytes
        The serialized ``ModelProto``.
    converter : str
        Name of the converter that made it.
    inputs : tuple of mapping
        One for each input: ``name`` (in the graph), ``column`` (of the signature; a list of them, side by side; or
        None for a tensor), ``dtype`` (``float32``, ``float64``, ``int64``, ``bool`` or ``string``) and ``shape`` (-1
        for the rows).
        A missing value is NaN in a float input and `MISSING_TEXT` in a string input.
    label_output : str
        Name of the output with labels, or with the values of a regression; ``(n_rows,)`` or ``(n_rows, n_outputs)``.
    probability_output : str or None
        Name of the output with probabilities, ``(n_rows, n_classes)`` in the order of the classes.
    opset : int
        Version of the default operator set.
    without_nulls : tuple of str
        Columns in which the fitted object answers nulls and this model answers them otherwise.
    provider : str
        ONNX Runtime's name of what computes it; empty for the CPU.
    runtime : str
        What serves it: ``onnx``, or ``hybrid`` where the preprocessing stays in its own runtime.
    """

    runtime: ClassVar[str] = "onnx"

    content: bytes = field(repr=False)
    converter: str
    inputs: tuple[Mapping[str, Any], ...]
    label_output: str
    probability_output: str | None
    opset: int
    without_nulls: tuple[str, ...] = ()
    provider: str = ""

    @property
    def digest(self) -> str:
        """``sha256:…`` of the content."""
        return digests.of_bytes(self.content)

    def interface(self) -> dict[str, Any]:
        """Return what a server must know to feed it, as a bundle stores it."""
        return {
            "inputs": [dict(one) for one in self.inputs],
            "label_output": self.label_output,
            "probability_output": self.probability_output,
        }

    def served(self, signature: Mapping[str, Any]) -> dict[str, Any]:
        """Return the signature to serve this model by: nulls that it can't answer as the fitted object are refused."""
        inputs = signature.get("inputs")
        if isinstance(inputs, Mapping) and inputs.get("tensor", {}).get("nulls") == BY_MODEL:
            return {**signature, "inputs": {"tensor": {**inputs["tensor"], "nullable": False}}}
        if isinstance(inputs, list) and self.without_nulls:
            refused = [{**one, "nullable": False} if one["name"] in self.without_nulls else one for one in inputs]
            return {**signature, "inputs": refused}
        return dict(signature)

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """ONNX Runtime as the server runs it."""
        from nbmlops.serving.runtimes.providers import make_session

        return make_session(self.content, self.provider, level=FATAL)

    def feeds(self, rows: pd.DataFrame | np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays to feed, one for each input.

        Raises
        ------
        InvalidInput
            Where `rows` lacks a column.
        """
        return {one["name"]: _array(rows, one) for one in self.inputs}

    def run(self, feeds: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return labels (or regression values) and, where the model has them, probabilities."""
        names = [self.label_output, *([self.probability_output] if self.probability_output else [])]
        label, *rest = self.session.run(names, dict(feeds))
        return label, rest[0] if rest else None

    def predict(self, rows: pd.DataFrame | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return what `run` does, from a frame or an array."""
        return self.run(self.feeds(rows))


def _array(rows: Any, wanted: Mapping[str, Any]) -> np.ndarray:
    import numpy as np
    import pandas as pd

    column, dtype = wanted["column"], wanted["dtype"]
    if column is None:
        values = np.asarray(rows)
        return _cast(pd.Series(values.ravel()), dtype).reshape(-1, *wanted["shape"][1:])
    names = [column] if isinstance(column, str) else column
    missing = [name for name in names if name not in rows]
    if missing:
        raise InvalidInput(f"the column {missing[0]!r} is missing", expected=f"the columns {', '.join(names)}")
    return np.stack([_cast(rows[name], dtype) for name in names], axis=1)


def _cast(values: pd.Series, dtype: str) -> np.ndarray:
    import numpy as np

    if dtype == "string":
        return np.asarray(values.astype(object).where(values.notna(), MISSING_TEXT), dtype=object)
    if dtype in {"float32", "float64"}:
        return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=dtype)
    return np.asarray(values, dtype=dtype)
