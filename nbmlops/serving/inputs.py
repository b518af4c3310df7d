"""What a decoded request holds: rows of named columns, a tensor, or plain data of no known form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import ColumnCodec

Array = NDArray[Any]


@dataclass(slots=True)
class Rows:
    """Rows of checked values, each in the signature's order; an absent optional column holds None throughout."""

    records: Sequence[Sequence[Any]]
    absent: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.records)


@dataclass(slots=True)
class Tensor:
    """One array whose first axis counts the rows."""

    array: Array

    def __len__(self) -> int:
        return len(self.array)


@dataclass(slots=True)
class Table:
    """Columns as arrays of shape (n_rows,), in the signature's order: what a runtime of named columns takes."""

    names: tuple[str, ...]
    columns: list[Array]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0


@dataclass(slots=True)
class Generic:
    """Plain data of a model without a signature, under the name of the format in which it came."""

    format: str
    data: Any

    def __len__(self) -> int:
        return 1


Decoded = Rows | Tensor | Generic
ModelInput = Table | Tensor | Generic


def tabulate(batch: Sequence[Rows], names: tuple[str, ...], codecs: Sequence[ColumnCodec]) -> Table:
    """Return the rows of several requests as one table; they must lack the same columns."""
    records = batch[0].records if len(batch) == 1 else [record for rows in batch for record in rows.records]
    absent = batch[0].absent
    columns = [
        codec.missing(len(records)) if index in absent else codec.array(values)
        for index, (codec, values) in enumerate(zip(codecs, zip(*records, strict=True), strict=True))
    ]
    return Table(names, columns)


def stack(batch: Sequence[Tensor]) -> Tensor:
    """Return the tensors of several requests as one."""
    return batch[0] if len(batch) == 1 else Tensor(np.concatenate([tensor.array for tensor in batch]))
