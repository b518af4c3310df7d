"""Frames between a scorer and a worker: four bytes of length, then MessagePack."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .documents import Output
from .failures import Failure
from .inputs import Generic, ModelInput, Table, Tensor, Tensors
from .outputs import Outputs
from .pins import Installed

Array = NDArray[Any]
MAX_FRAME = 256 * 2**20  # bytes; a body of the default limit decodes to well under this


class FrameError(Exception):
    """A frame that is too large or can't be read."""


class ArrayData(msgspec.Struct, array_like=True):
    """An array: raw bytes for a plain dtype, a list of values (`dtype` ``object``) for anything else."""

    dtype: str
    shape: list[int]
    data: bytes
    values: Any = None


class Hello(msgspec.Struct):
    """A worker's first frame: what it can answer, and what is installed where it runs."""

    pid: int
    runtime: str
    outputs: tuple[str, ...]
    installed: Installed | None = None


class ScoreFrame(msgspec.Struct):
    """One call: a table (`names`), named tensors (and `tensors`), a tensor (one array) or generic data (`format`)."""

    id: int
    output: Output
    arrays: list[ArrayData]
    names: tuple[str, ...] | None = None
    format: str | None = None
    generic: Any = None
    params: dict[str, Any] | None = None
    tensors: bool = False


class AnswerFrame(msgspec.Struct):
    """What came of a call: arrays, the JSON text of anything else, or the traceback of an error."""

    id: int
    labels: ArrayData | None = None
    probabilities: ArrayData | None = None
    payload: bytes | None = None
    error: str | None = None
    failure: Failure | None = None


_PACKER = msgspec.msgpack.Encoder()


def pack_array(array: Array) -> ArrayData:
    """Return an array in its wire form."""
    if array.dtype.hasobject or array.dtype.kind in "SU":
        return ArrayData("object", list(array.shape), b"", array.tolist())
    return ArrayData(array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes())


def unpack_array(wire: ArrayData) -> Array:
    """Return the array of a wire form; raw ones are read-only views of the frame."""
    if wire.dtype != "object":
        return np.frombuffer(wire.data, dtype=wire.dtype).reshape(wire.shape)
    array = np.empty(len(wire.values), dtype=object)
    array[:] = wire.values
    if len(wire.shape) == 1:
        return array
    return np.array(wire.values, dtype=object).reshape(wire.shape)


def score_frame(
    number: int, data: ModelInput, output: Output, *, params: Mapping[str, Any] | None = None
) -> ScoreFrame:
    """Return the frame that asks for a call."""
    given = None if params is None else dict(params)
    if isinstance(data, Table):
        arrays = [pack_array(column) for column in data.columns]
        return ScoreFrame(number, output, arrays, names=data.names, params=given)
    if isinstance(data, Tensors):
        arrays = [pack_array(array) for array in data.arrays]
        return ScoreFrame(number, output, arrays, names=data.names, params=given, tensors=True)
    if isinstance(data, Tensor):
        return ScoreFrame(number, output, [pack_array(data.array)], params=given)
    return ScoreFrame(number, output, [], format=data.format, generic=data.data, params=given)


def model_input(frame: ScoreFrame) -> ModelInput:
    """Return the data of a call."""
    if frame.format is not None:
        return Generic(frame.format, frame.generic)
    arrays = [unpack_array(wire) for wire in frame.arrays]
    if frame.names is None:
        return Tensor(arrays[0])
    return Tensors(frame.names, arrays) if frame.tensors else Table.of(frame.names, arrays)


def answer_outputs(frame: AnswerFrame) -> Outputs:
    """Return the outputs that an answer carries."""
    if frame.payload is not None:
        return Outputs(payload=msgspec.Raw(frame.payload))
    labels = None if frame.labels is None else unpack_array(frame.labels)
    return Outputs(labels, None if frame.probabilities is None else unpack_array(frame.probabilities))


def pack(message: msgspec.Struct) -> bytes:
    """Return the bytes of a frame.

    Raises
    ------
    FrameError
        It would be too large.
    """
    content = _PACKER.encode(message)
    if len(content) > MAX_FRAME:
        raise FrameError(f"a frame of {len(content)} bytes passes the limit of {MAX_FRAME}")
    return len(content).to_bytes(4, "big") + content


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the content of the next frame.

    Raises
    ------
    FrameError
        It is too large.
    asyncio.IncompleteReadError
        The other side went away.
    """
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > MAX_FRAME:
        raise FrameError(f"a frame of {length} bytes passes the limit of {MAX_FRAME}")
    return await reader.readexactly(length)
