"""One column's content in a form that does not depend on how it is stored.

A column becomes a logical type, a mask of missing values, and buffers with zeros where a value is missing. So the same
values give the same bytes whether NumPy, pandas' masked arrays, Arrow or Polars hold them, in one chunk or in many,
as a view or as a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from nbmlops.capture.cells import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_] | None

ZONE_UNAWARE = ""


@dataclass(frozen=True)
class Content:
    """A column's canonical content.

    Attributes
    ----------
    dtype : str
        The logical type: ``int64``, ``float32``, ``bool``, ``string``, ``binary``, ``datetime64[us, UTC]``,
        ``category[string]``, …; that of values, not of storage.
    missing : numpy.ndarray of bool or None
        Where a value is missing (NaN, None, NaT and NA are all one); None where nothing is.
    buffers : tuple
        What is hashed, in order; each supports the buffer protocol.
    values : object
        The values for the profile: a NumPy array, an Arrow array, or a list.
    """

    dtype: str
    missing: Mask
    buffers: tuple[Any, ...]
    values: Any

    @property
    def digest(self) -> str:
        """SHA-256 over type, mask and buffers, each preceded by its length."""
        mask = b"" if self.missing is None else np.packbits(self.missing).tobytes()
        hasher = hashlib.sha256()
        for part in (self.dtype.encode(), mask, *self.buffers):
            view = memoryview(part).cast("B") if len(part) else memoryview(b"")
            hasher.update(view.nbytes.to_bytes(8, "little"))
            hasher.update(view)
        return hasher.hexdigest()


def content(column: Any) -> Content:
    """Return the content of a pandas Series or Index, an Arrow array or a one-dimensional NumPy array.

    Raises
    ------
    NoCanonicalForm
        When a cell holds an object of an unknown type; the message names the type.
    """
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        return _arrow(column)
    if isinstance(column, np.ndarray) or isinstance(column.dtype, np.dtype):
        return _array(np.asarray(column))
    values = column.array
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(values.codes, dtype.categories, bool(dtype.ordered))
    if isinstance(dtype, (pd.ArrowDtype, pd.StringDtype)):
        return _arrow(pa.array(values, from_pandas=True))
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _moments(values.to_numpy(dtype=f"datetime64[{dtype.unit}]"), str(dtype.tz))
    return _extension(values)


def _array(values: NDArray[Any]) -> Content:
    """Read a NumPy array by the kind of its type."""
    if values.dtype.kind in "Mm":
        return _moments(values, ZONE_UNAWARE)
    if values.dtype.kind in "SU":
        return _arrow(pa.array(values.tolist()))
    if values.dtype.kind == "O":
        return _objects(values)
    if values.dtype.kind == "V" or values.dtype.itemsize > 8 * (1 + (values.dtype.kind == "c")):
        return _cells(str(values.dtype), [str(value) for value in values])  # long doubles hold padding
    return _numbers(values, None)


def _numbers(values: NDArray[Any], missing: Mask) -> Content:
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    if values.dtype.kind in "fc":
        nan = np.isnan(values)
        missing = (nan if missing is None else missing | nan) if nan.any() else missing
    filled = _filled(values, missing)
    return Content(str(values.dtype), missing, (filled,), filled)


def _filled(values: NDArray[Any], missing: Mask) -> NDArray[Any]:
    if missing is None or not missing.any():
        return values
    filled = values.copy()
    filled[missing] = 0
    return filled


def _moments(values: NDArray[Any], zone: str) -> Content:
    """Read datetimes or timedeltas; those with a zone count by their instant and by the zone's name."""
    missing = np.isnat(values)
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    dtype = little.dtype.name.replace("]", f", {zone}]") if zone else little.dtype.name
    numbers = _filled(little.view("<i8"), missing)
    return Content(dtype, missing if missing.any() else None, (numbers,), numbers.view(little.dtype))


def _extension(values: Any) -> Content:
    """Read pandas' masked arrays by their values, and any other extension cell by cell."""
    dtype = values.dtype
    kind = getattr(dtype, "numpy_dtype", None)
    if kind is not None and kind.kind in "biuf":
        missing = np.asarray(values.isna())
        numbers = values.to_numpy(dtype=kind, na_value=kind.type(0))
        return _numbers(numbers, missing if missing.any() else None)
    return _cells(str(dtype), values.astype(object))


def _category(codes: NDArray[Any], categories: Any, ordered: bool) -> Content:
    """Read a categorical: its categories and their order count, because models read the codes."""
    known = content(categories)
    codes = codes.astype("<i4")
    missing = codes < 0
    dtype = f"category[{known.dtype}{', ordered' if ordered else ''}]"
    codes = _filled(codes, missing)
    values = (codes, known.values)
    return Content(dtype, missing if missing.any() else None, (known.digest.encode(), codes), values)


def _objects(values: NDArray[Any]) -> Content:
    """Read Python objects: strings and bytes as Arrow does, anything else cell by cell."""
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):  # mixed types, lone surrogates
        return _cells("object", values)
    chunked = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    uniform = pa.types.is_string(chunked.type) or pa.types.is_null(chunked.type)
    if uniform or (pa.types.is_binary(chunked.type) and not any(isinstance(value, str) for value in values)):
        return _arrow(chunked)
    return _cells("object", values)


def _cells(dtype: str, values: Iterable[Any]) -> Content:
    """Encode each cell by itself; a missing one is an empty text."""
    encoded = [b"" if _is_missing(value) else encode(value) for value in values]
    missing = np.fromiter((not cell for cell in encoded), dtype=bool, count=len(encoded))
    lengths = np.fromiter(map(len, encoded), dtype="<i8", count=len(encoded))
    return Content(dtype, missing if missing.any() else None, (lengths, b"".join(encoded)), list(values))


def _is_missing(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)) and bool(value != value)


def _arrow(column: pa.Array | pa.ChunkedArray) -> Content:
    """Read an Arrow array by its type."""
    kind = column.type
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column], kind)
    missing = np.asarray(column.is_null()) if column.null_count else None
    if pa.types.is_dictionary(kind):
        return _dictionary(column)
    if _is_text(kind):
        return _texts(column, missing)
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return _temporal(column, missing)
    if pa.types.is_decimal(kind):
        return Content(str(kind), missing, _texts(column.cast(pa.string()), missing).buffers, column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        filled = column.fill_null(False if pa.types.is_boolean(kind) else 0) if column.null_count else column
        return _numbers(filled.to_numpy(), missing)
    if pa.types.is_null(kind):
        return Content("null", np.ones(len(column), dtype=bool), (), [None] * len(column))
    return _cells(str(kind), column.to_pylist())


def _is_text(kind: pa.DataType) -> bool:
    texts = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return str(kind) in texts or pa.types.is_fixed_size_binary(kind)


def _texts(column: pa.ChunkedArray, missing: Mask) -> Content:
    """Read strings or bytes as their lengths and their bytes end to end, whatever the chunks and the offsets."""
    is_string = pa.types.is_string(column.type) or str(column.type) in {"large_string", "string_view"}
    wide = column.cast(pa.large_string() if is_string else pa.large_binary())
    if missing is not None:
        wide = wide.fill_null("" if is_string else b"")  # what lies under a missing value is anybody's guess
    array = wide.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], wide.type)
    _, offsets, texts = array.buffers()
    places = (
        np.frombuffer(offsets, dtype="<i8", count=len(array) + 1, offset=8 * array.offset)
        if len(array)
        else np.zeros(1, "<i8")
    )
    data = memoryview(texts)[int(places[0]) : int(places[-1])] if texts is not None else b""
    return Content("string" if is_string else "binary", missing, (np.diff(places), data), array)


def _temporal(column: pa.ChunkedArray, missing: Mask) -> Content:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        name = "datetime64" if pa.types.is_timestamp(kind) else "timedelta64"
        numbers = column.cast(pa.int64()).fill_null(0).to_numpy()
        moments = numbers.astype("<i8").view(f"{name}[{kind.unit}]").copy()
        if missing is not None:
            moments[missing] = np.array("NaT", dtype=moments.dtype)
        return _moments(moments, getattr(kind, "tz", None) or ZONE_UNAWARE)
    short = pa.types.is_date32(kind) or pa.types.is_time32(kind)
    numbers = column.cast(pa.int32() if short else pa.int64()).fill_null(0).to_numpy()
    return Content(str(kind), missing, (np.ascontiguousarray(numbers),), column)


def _dictionary(column: pa.ChunkedArray) -> Content:
    """Read an Arrow dictionary as the categorical that pandas would make of it."""
    unified = column.unify_dictionaries()
    known = unified.chunk(0).dictionary if unified.num_chunks else pa.array([], unified.type.value_type)
    codes = [np.asarray(chunk.indices.fill_null(-1)).astype("<i4") for chunk in unified.chunks]
    joined = np.concatenate(codes) if codes else np.array([], dtype="<i4")
    return _category(joined, known, bool(unified.type.ordered))


def take(values: Any, rows: NDArray[np.int64]) -> Any:
    """Return the chosen rows of a content's values."""
    if isinstance(values, tuple):
        return values[0][rows], values[1]
    if isinstance(values, list):
        return [values[row] for row in rows]
    return values[rows] if isinstance(values, np.ndarray) else cast(Any, pc.take(values, pa.array(rows)))
