"""The protocol's datatypes: their numpy dtypes, their bytes and their JSON.

A binary tensor is its elements in row-major order, little-endian, without padding; an element of ``BYTES`` is four
bytes of length and then so many bytes.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..documents import shown
from ..errors import RequestError, invalid, malformed

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
_NAMES = {(dtype.kind, dtype.itemsize): name for name, dtype in DTYPES.items() if name != "BYTES"}
_LENGTH = struct.Struct("<I")
LISTED = ", ".join(DTYPES)


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the datatype that carries an array; texts, bytes, moments and objects are ``BYTES``."""
    return _NAMES.get((dtype.kind, dtype.itemsize), "BYTES")


def known(datatype: str, name: str) -> np.dtype[Any]:
    """Return the dtype of a tensor's datatype.

    Raises
    ------
    RequestError
        400 for one that is none of those served.
    """
    found = DTYPES.get(datatype)
    if found is None:
        message = f"input {shown(name)} has a datatype that is not served"
        if datatype == "BF16":
            message = f"input {shown(name)} is BF16, which numpy and JSON lack"
        raise malformed(message, field=f"inputs.{name[:80]}.datatype", expected=LISTED)
    return found


def read_binary(name: str, datatype: str, raw: bytes, *, count: int) -> Array:
    """Return the elements of a binary tensor.

    Parameters
    ----------
    name : str
        The input's, for errors.
    datatype : str
        One of `DTYPES`.
    raw : bytes
    count : int
        How many elements the shape asks for.

    Returns
    -------
    ndarray of shape (count,)
        Read-only; of objects of type ``bytes`` for ``BYTES``.

    Raises
    ------
    RequestError
        400 when the bytes are not so many elements.
    """
    if datatype == "BYTES":
        return _read_bytes(name, raw, count)
    dtype = DTYPES[datatype]
    if len(raw) != count * dtype.itemsize:
        raise _missized(name, f"{len(raw)} bytes", f"{count * dtype.itemsize} bytes for {count} elements of {datatype}")
    if datatype == "BOOL" and raw.translate(None, b"\x00\x01"):
        raise _missized(name, "a byte that is neither 0 nor 1", "one byte of 0 or 1 for each BOOL")
    return np.frombuffer(raw, dtype)


def _read_bytes(name: str, raw: bytes, count: int) -> Array:
    expected = f"{count} elements, each with its length in four bytes, little-endian, before it"
    # Each element takes four bytes at least, so that a shape alone can't ask for memory.
    if len(raw) < 4 * count:
        raise _missized(name, f"{len(raw)} bytes", expected)
    array = np.empty(count, dtype=object)
    place, end = 0, len(raw)
    for index in range(count):
        start = place + 4
        if start > end:
            raise _missized(name, f"only {index} elements", expected)
        place = start + _LENGTH.unpack_from(raw, place)[0]
        array[index] = raw[start:place]
    if place != end:
        found = "a last element that is longer than the data" if place > end else f"{end - place} bytes too many"
        raise _missized(name, found, expected)
    return array


def _missized(name: str, found: str, expected: str) -> RequestError:
    message = f"the binary data of input {shown(name)} holds {found}"
    return malformed(message, field=f"inputs.{name[:80]}", expected=expected)


def write_binary(array: Array) -> bytes:
    """Return an array's elements as a binary tensor; a missing text is empty, since there is no null."""
    datatype = datatype_of(array.dtype)
    if datatype != "BYTES":
        return array.astype(DTYPES[datatype], copy=False).tobytes()
    return b"".join(_LENGTH.pack(len(value)) + value for value in map(_to_bytes, elements(array)))


def elements(array: Array) -> list[Any]:
    """Return an array's elements in row-major order; moments are ISO 8601 text."""
    if array.dtype.kind in "Mm":
        array = np.datetime_as_string(array) if array.dtype.kind == "M" else array.astype(str)
    values: list[Any] = array.ravel().tolist()
    return values


def _to_bytes(value: Any) -> bytes:
    if value is None:
        return b""
    return value if isinstance(value, bytes) else str(value).encode()


def to_text(value: Any, name: str) -> Any:
    """Return an element of ``BYTES`` as text.

    Raises
    ------
    RequestError
        422 when it is not UTF-8.
    """
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise invalid(
            f"input {shown(name)} holds bytes that are no text", field=name[:80], expected="text in UTF-8"
        ) from None
