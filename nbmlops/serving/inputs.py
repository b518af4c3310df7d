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
class Block:
    """Columns that share a dtype.

    Attributes
    ----------
    indices : tuple of int
        Their places in the signature.
    array : ndarray of shape (n_columns, n_rows)
    """

    indices: tuple[int, ...]
    array: Array


@dataclass(slots=True)
class Table:
    """Columns as arrays of shape (n_rows,), in the signature's order: what a runtime of named columns takes.

    `blocks` holds the same values with the columns of one dtype side by side, which spares a runtime of many columns
    a conversion of each.
    """

    names: tuple[str, ...]
    columns: list[Array]
    blocks: list[Block]

    @classmethod
    def of(cls, names: tuple[str, ...], columns: list[Array]) -> Table:
        """Return a table of single columns."""
        return cls(names, columns, [Block((index,), column[None]) for index, column in enumerate(columns)])

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


class Tabulator:
    """Turns rows into tables.

    Parameters
    ----------
    names : tuple of str
    codecs : sequence of ColumnCodec
        One for each name.
    """

    def __init__(self, names: tuple[str, ...], codecs: Sequence[ColumnCodec]) -> None:
        self._names = names
        self._codecs = codecs
        groups: dict[Any, list[int]] = {}
        for index, codec in enumerate(codecs):
            groups.setdefault(codec.dtype or index, []).append(index)
        self._groups = [(tuple(indices), codecs[indices[0]].dtype) for indices in groups.values()]

    def __call__(self, batch: Sequence[Rows]) -> Table:
        """Return the rows of several requests as one table; they must lack the same columns."""
        records = batch[0].records if len(batch) == 1 else [record for rows in batch for record in rows.records]
        values = list(zip(*records, strict=True))
        if batch[0].absent:
            return Table.of(self._names, self._singly(values, len(records), batch[0].absent))
        blocks = [
            Block(
                indices,
                self._codecs[indices[0]].array(values[indices[0]])[None]
                if dtype is None
                else np.array([values[index] for index in indices], dtype=dtype),
            )
            for indices, dtype in self._groups
        ]
        columns: list[Any] = [None] * len(self._names)
        for block in blocks:
            for index, column in zip(block.indices, block.array, strict=True):
                columns[index] = column
        return Table(self._names, columns, blocks)

    def _singly(self, values: list[tuple[Any, ...]], rows: int, absent: frozenset[int]) -> list[Array]:
        return [
            codec.missing(rows) if index in absent else codec.array(values[index])
            for index, codec in enumerate(self._codecs)
        ]


def stack(batch: Sequence[Tensor]) -> Tensor:
    """Return the tensors of several requests as one."""
    return batch[0] if len(batch) == 1 else Tensor(np.concatenate([tensor.array for tensor in batch]))
