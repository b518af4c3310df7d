"""What a decoded request holds: rows of named columns, one tensor, named tensors, or plain data of no known form."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import ColumnCodec

Array = NDArray[Any]
FEW = 16  # rows up to which picking values row by row is quicker than turning all rows into columns


@dataclass(slots=True)
class Rows:
    """Rows of checked values, each in the signature's order; an absent optional column holds None throughout."""

    records: Sequence[Sequence[Any]]
    absent: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def kin(self) -> Hashable:
        """What the data of two requests must share to go into one call."""
        return self.absent


@dataclass(slots=True)
class Tensor:
    """One array whose first axis counts the rows."""

    array: Array

    def __len__(self) -> int:
        return len(self.array)

    @property
    def kin(self) -> Hashable:
        return self.array.shape[1:]


@dataclass(slots=True)
class Tensors:
    """Named arrays.

    Attributes
    ----------
    names : tuple of str
    arrays : list of ndarray
        One for each name.
    rows : int
        The length of the first axis where it counts the rows in all of them; 0 where it does not, so that the call
        can't be shared.
    """

    names: tuple[str, ...]
    arrays: list[Array]
    rows: int = 0

    def __len__(self) -> int:
        return self.rows or 1

    @property
    def kin(self) -> Hashable:
        return tuple(array.shape[1:] for array in self.arrays) if self.rows else id(self)


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
    """Named columns, those of one dtype side by side: what a runtime of named columns takes.

    Attributes
    ----------
    names : tuple of str
    blocks : list of Block
        Each column lies in one of them.
    """

    names: tuple[str, ...]
    blocks: list[Block]
    _columns: list[Array] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, names: tuple[str, ...], columns: list[Array]) -> Table:
        """Return a table of single columns."""
        return cls(names, [Block((index,), column[None]) for index, column in enumerate(columns)], columns)

    @property
    def columns(self) -> list[Array]:
        """The columns as arrays of shape (n_rows,), in the signature's order; made when they are first asked for."""
        if self._columns is None:
            found: list[Any] = [None] * len(self.names)
            for block in self.blocks:
                for index, column in zip(block.indices, block.array, strict=True):
                    found[index] = column
            self._columns = found
        return self._columns

    def __len__(self) -> int:
        return int(self.blocks[0].array.shape[1]) if self.blocks else 0

    @property
    def kin(self) -> Hashable:
        return tuple((block.indices, block.array.dtype) for block in self.blocks)


@dataclass(slots=True)
class Generic:
    """Plain data of a model without a signature, under the name of the format in which it came."""

    format: str
    data: Any

    def __len__(self) -> int:
        return 1

    @property
    def kin(self) -> Hashable:
        return id(self)


Decoded = Rows | Table | Tensor | Tensors | Generic
ModelInput = Table | Tensor | Tensors | Generic


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
        self._groups = [
            (tuple(indices), codecs[indices[0]].dtype, _picker(indices), indices[0]) for indices in groups.values()
        ]

    def __call__(self, batch: Sequence[Rows]) -> Table:
        """Return the rows of several requests as one table; they must lack the same columns."""
        records = batch[0].records if len(batch) == 1 else [record for rows in batch for record in rows.records]
        count = len(records)
        if batch[0].absent:
            values = list(zip(*records, strict=True))
            return Table.of(self._names, self._singly(values, count, batch[0].absent))
        if count > FEW:
            return self._by_columns(list(zip(*records, strict=True)))
        blocks = []
        for indices, dtype, pick, first in self._groups:
            if dtype is None:
                array = self._codecs[first].array([record[first] for record in records])[None]
            elif count == 1:
                array = np.array(pick(records[0]), dtype)[:, None]
            else:
                array = np.array([pick(record) for record in records], dtype).T
            blocks.append(Block(indices, array))
        return Table(self._names, blocks)

    def _by_columns(self, values: list[tuple[Any, ...]]) -> Table:
        blocks = [
            Block(
                indices,
                self._codecs[first].array(values[first])[None]
                if dtype is None
                else np.array([values[index] for index in indices], dtype),
            )
            for indices, dtype, _, first in self._groups
        ]
        return Table(self._names, blocks)

    def _singly(self, values: list[tuple[Any, ...]], rows: int, absent: frozenset[int]) -> list[Array]:
        return [
            codec.missing(rows) if index in absent else codec.array(values[index])
            for index, codec in enumerate(self._codecs)
        ]


def _picker(indices: list[int]) -> Callable[[Any], Any]:
    """Return what takes the values of some columns out of a record, as a sequence even of one."""
    if indices[-1] - indices[0] == len(indices) - 1:
        return itemgetter(slice(indices[0], indices[-1] + 1))
    return itemgetter(*indices)


def stack(batch: Sequence[Table | Tensor | Tensors]) -> Table | Tensor | Tensors:
    """Return the tables or tensors of several requests, which are of one kind, as one."""
    first = batch[0]
    if len(batch) == 1:
        return first
    if isinstance(first, Table):
        blocks = zip(*(item.blocks for item in batch), strict=True)  # type: ignore[union-attr]
        joined = [Block(part[0].indices, np.concatenate([block.array for block in part], axis=1)) for part in blocks]
        return Table(first.names, joined)
    if isinstance(first, Tensor):
        return Tensor(np.concatenate([item.array for item in batch]))  # type: ignore[union-attr]
    parts = zip(*(item.arrays for item in batch), strict=True)  # type: ignore[union-attr]
    return Tensors(first.names, [np.concatenate(part) for part in parts], sum(len(item) for item in batch))
