"""The decoder of requests for a model that takes one tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from .columns import is_text, kind_of
from .documents import CSV, ScoringRequest, parse_csv, parse_json, split_document
from .errors import RequestError, ServingError, invalid
from .inputs import Tensor
from .signature import TensorSpec
from .typed import REFUSALS


class TensorDecoder:
    """Decodes ``instances`` and ``inputs`` of nested lists, ``dataframe_split`` and CSV (two axes only).

    Parameters
    ----------
    spec : TensorSpec
        The dtype and the shape, in which -1 stands for any length.

    Raises
    ------
    ServingError
        The dtype is none that JSON can carry.
    """

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec
        self.dtype = np.dtype(object if spec.dtype in ("str", "string", "object") else spec.dtype)
        if self.dtype.kind not in "biufO":
            raise ServingError("invalid_bundle", f"a tensor of {spec.dtype} can't be sent as JSON")
        self._bounds = np.iinfo(str(self.dtype)) if self.dtype.kind in "iu" else None
        self._limit = float(np.finfo(str(self.dtype)).max) if self.dtype.kind == "f" else 0.0
        self.expected = f"a tensor of {spec.dtype} with shape {tuple(spec.shape)}".replace("-1", "any")
        nested: Any = self._leaf_type()
        for _ in spec.shape:
            nested = list[nested]
        self._fast = msgspec.json.Decoder(dict[str, nested])

    def _leaf_type(self) -> Any:
        if self._bounds is not None:
            low, high = int(self._bounds.min), min(int(self._bounds.max), 2**63 - 1)
            return Annotated[int, Meta(ge=low, le=high)]
        if self.dtype.kind == "f":
            leaf: Any = Annotated[float, Meta(ge=-self._limit, le=self._limit)]
            return leaf | None if self.spec.nullable else leaf
        return bool if self.dtype.kind == "b" else str

    def decode(self, body: bytes, kind: str) -> ScoringRequest:
        """Return the tensor of a request.

        Raises
        ------
        RequestError
            400 when the form can't be read, 422 when type or shape differ from the signature.
        """
        if kind == CSV:
            return ScoringRequest(self._from_csv(body))
        try:
            document = self._fast.decode(body)
        except REFUSALS:
            document = {}
        if len(document) == 1 and (data := document.get("instances") or document.get("inputs")):
            return ScoringRequest(self._tensor(data))
        name, data, output = split_document(parse_json(body))
        if name == "dataframe_split" and isinstance(data, dict):
            data = data.get("data")
        elif name == "dataframe_records" and isinstance(data, list) and all(isinstance(row, dict) for row in data):
            data = [list(row.values()) for row in data]
        return ScoringRequest(self._tensor(self._checked(data, name, len(self.spec.shape))), output)

    def _from_csv(self, body: bytes) -> Tensor:
        _, rows = parse_csv(body)
        parse = {"f": float, "i": int, "u": int}.get(self.dtype.kind, str)
        try:
            data = [[parse(cell) if cell else None for cell in row] for row in rows]
        except ValueError:
            raise invalid("a cell can't be read as the tensor's type", field="body", expected=self.expected) from None
        return self._tensor(self._checked(data, "body", len(self.spec.shape)))

    def _checked(self, data: Any, field: str, depth: int) -> Any:
        if depth == 0:
            return self._leaf(data, field)
        if not isinstance(data, list):
            raise invalid(f"{field} is {kind_of(data)} where a list belongs", field=field, expected=self.expected)
        return [self._checked(item, f"{field}[{index}]", depth - 1) for index, item in enumerate(data)]

    def _leaf(self, value: Any, field: str) -> Any:
        kind = self.dtype.kind
        if self.spec.nullable and kind == "f" and (value is None or value != value):
            return None
        if kind == "f" and isinstance(value, int | float) and not isinstance(value, bool):
            if -self._limit <= value <= self._limit:
                return value
        elif self._bounds is not None and isinstance(value, int | float) and not isinstance(value, bool):
            if self._bounds.min <= value <= self._bounds.max and int(value) == value:
                return int(value)
        elif is_text(value) if kind == "O" else (kind == "b" and isinstance(value, bool)):
            return value
        raise invalid(f"{field} holds {kind_of(value)}", field=field, expected=self.expected)

    def _tensor(self, data: Any) -> Tensor:
        lengths = list(_shape(data, len(self.spec.shape)))
        try:
            array = np.array(data, dtype=self.dtype)
        except ValueError:
            raise self._misshapen("rows of different lengths") from None
        if array.ndim != len(lengths) or array.size == 0:
            raise self._misshapen("no values" if array.size == 0 else "rows of different lengths")
        if any(want not in (-1, have) for want, have in zip(self.spec.shape, array.shape, strict=True)):
            raise self._misshapen(f"shape {array.shape}")
        return Tensor(array)

    def _misshapen(self, found: str) -> RequestError:
        return invalid(f"the tensor has {found}", field="inputs", expected=self.expected)


def _shape(data: Any, depth: int) -> Iterator[int]:
    for _ in range(depth):
        yield len(data)
        data = data[0] if data else []
