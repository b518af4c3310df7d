"""The fingerprint of data: a digest in which every cell counts, the schema, and a profile of each column."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbmlops.core import digests
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record, frozen_map

if TYPE_CHECKING:
    from nbmlops.capture.columns import Content

FORMAT = 1
MOST_COLUMNS = 4096  # an array wider than this is digested as one block


@dataclass(frozen=True)
class ColumnSchema(Record):
    """A column's name, its logical type, and whether a value is missing in it."""

    name: str
    dtype: str
    nullable: bool


@dataclass(frozen=True)
class Fingerprint(Record):
    """What data held, without holding it.

    The digest counts every cell, the names and order of the columns, their logical types, the rows' order, and an
    index other than the default one (0, 1, 2, …) with its name. It does not count how values are stored: NumPy,
    pandas' masked types, Arrow and Polars give equal digests for equal values, and so do copies, views and chunks.
    NaN, None, NaT and NA are one and the same missing value; 0.0 and -0.0 are two values. The categories of a
    categorical count, in their order, since models read the codes.

    Attributes
    ----------
    digest : str
        ``sha256:…``
    rows, columns : int
        Shape of the data.
    schema : tuple of ColumnSchema
        In the order of the columns.
    profile : mapping of str to dict
        Column -> statistics; see `nbmlops.capture.column_profile.describe`.
    sampled : int
        Number of rows that ``distinct``, ``quantiles`` and ``top`` in the profile were counted on.
    """

    digest: str
    rows: int
    columns: int
    schema: tuple[ColumnSchema, ...]
    profile: Mapping[str, Mapping[str, Any]] = field(default_factory=frozen_map)
    sampled: int = 0


def fingerprint(data: Any, *, profile: bool = True) -> Fingerprint:
    """Return the fingerprint of `data`; a million rows of 21 columns take about half a second.

    Parameters
    ----------
    data : table or array
        A pandas DataFrame or Series, a Polars DataFrame, an Arrow table or record batch, a NumPy array (two
        dimensions are rows and columns, more are one column of tensors), a dict of columns or a list of dicts.
    profile : bool
        Also describe each column.

    Raises
    ------
    InvalidInput
        When two columns have one name, a cell has no canonical form (naming the column), or `data` is of no such kind.
    """
    from nbmlops.capture import tables

    table = tables.read(data)
    _refuse_duplicates([str(label) for label in table.labels])
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashing releases the interpreter's lock
        read = list(pool.map(_named, table.labels, table.columns))
    found = [one for one, _ in read]
    names = [str(label) for label in table.labels]
    schema = tuple(
        ColumnSchema(name, one.dtype, one.missing is not None) for name, one in zip(names, found, strict=True)
    )
    header = {
        "format": FORMAT,
        "rows": str(table.rows),
        "columns": [
            [type(label).__name__, str(label), digest] for label, (_, digest) in zip(table.labels, read, strict=True)
        ],
        "index": [[str(name), _named(name, level)[1]] for name, level in table.index],
    }
    described, sampled = _profile(names, found, table.rows) if profile else ({}, 0)
    return Fingerprint(digests.of_json(header), table.rows, len(names), schema, frozen_map(described), sampled)


def _named(label: Any, column: Any) -> tuple[Content, str]:
    from nbmlops.capture.cells import NoCanonicalForm
    from nbmlops.capture.columns import content

    try:
        found = content(column)
    except NoCanonicalForm as error:
        raise InvalidInput(
            f"column {str(label)!r} holds {error} objects, which have no canonical form to digest",
            expected="numbers, strings, bytes, dates, or lists and dicts of them",
            hint=f"Turn the column into one of these, or leave it out: data.drop(columns=[{str(label)!r}]).",
        ) from error
    return found, found.digest


def _profile(names: Sequence[str], found: Sequence[Content], rows: int) -> tuple[dict[str, Any], int]:
    from nbmlops.capture.column_profile import describe, sample

    chosen = sample(rows)
    return {name: frozen_map(describe(one, chosen)) for name, one in zip(names, found, strict=True)}, len(chosen)


def _refuse_duplicates(names: Sequence[str]) -> None:
    seen: set[str] = set()
    twice = list(dict.fromkeys(_repeated(names, seen)))
    if twice:
        raise InvalidInput(
            f"more than one column is named {', '.join(map(repr, twice))}",
            expected="a different name for each column",
            hint="Rename them, for instance with data.columns = [...].",
        )


def _repeated(names: Sequence[str], seen: set[str]) -> Iterator[str]:
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
