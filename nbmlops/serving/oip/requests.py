"""The body of an inference request: a JSON document, and binary tensors after it.

The document is read by one `msgspec` type that leaves the data of each tensor as JSON text; the tensor's datatype says
how that is read. Where JSON repeats a key or spells a NaN, a slower way takes over, which refuses the one and takes
the other for a null.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from ..documents import parse_json, shown
from ..errors import RequestError, invalid, malformed
from . import values
from .datatypes import Array, known, read_binary

SPELLED = "Inference-Header-Content-Length"
HEADER = SPELLED.lower().encode()
MALFORMED = 400
MAX_AXES = 16
MAX_INPUTS = 4096
_SIZE, _BINARY = "binary_data_size", "binary_data"
Parameters = dict[str, Any]
_NONE = msgspec.Raw()


class Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One tensor as the document describes it."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: msgspec.Raw = _NONE


class RequestedOutput(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An output that the caller asks for."""

    name: str
    parameters: Parameters | None = None


class InferRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The document. KServe's client repeats in it which model the path names; the path counts."""

    inputs: list[Input]
    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    parameters: Parameters | None = None
    outputs: list[RequestedOutput] | None = None


class _PlainInput(Input, forbid_unknown_fields=True, gc=False):
    data: Any = None


class _PlainRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_PlainInput]
    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    parameters: Parameters | None = None
    outputs: list[RequestedOutput] | None = None


@dataclass(slots=True)
class InputTensor:
    """A tensor whose elements are there, as many as its shape says.

    Attributes
    ----------
    name, datatype : str
    shape : tuple of int
    values : list or ndarray of shape (n_elements,)
        JSON's own values with None for null, texts for ``BYTES``; or an array where the tensor came in binary, of
        ``bytes`` for ``BYTES``.
    content_type : str, optional
        MLServer's hint of what the elements of ``BYTES`` are.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: list[Any] | Array
    content_type: str | None = None


_decode = msgspec.json.Decoder(InferRequest).decode


def read_request(body: bytes, header_length: bytes | None) -> tuple[InferRequest, list[InputTensor]]:
    """Return a request's document and its tensors.

    Parameters
    ----------
    body : bytes
    header_length : bytes, optional
        The header ``Inference-Header-Content-Length``: of the JSON in front of the binary tensors.

    Raises
    ------
    RequestError
        400 when the body or the sizes in it can't be right, 422 when data does not fit its own shape or datatype.
    """
    text, binary = _divided(body, header_length)
    request = _document(text)
    if not 0 < len(request.inputs) <= MAX_INPUTS:
        message = f"the request holds {len(request.inputs)} inputs"
        raise malformed(message, field="inputs", expected=f"one input or more, at most {MAX_INPUTS}")
    tensors = []
    place = 0
    for entry in request.inputs:
        size = None if entry.parameters is None else _binary_size(entry)
        if size is None:
            tensors.append(_tensor(entry, None))
            continue
        end = place + size
        if end > len(binary):
            expected = f"{size} bytes after the JSON, as {_SIZE} says"
            found = f"{max(len(binary) - place, 0)} bytes are left for input {shown(entry.name)}"
            raise malformed(found, field=f"inputs.{entry.name[:80]}", expected=expected)
        tensors.append(_tensor(entry, binary[place:end]))
        place = end
    if place != len(binary):
        message = f"{len(binary) - place} bytes behind the JSON belong to no input"
        raise malformed(message, expected=f"as many bytes as the inputs' {_SIZE} say in all")
    return request, tensors


def _divided(body: bytes, header_length: bytes | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not (header_length.isdigit() and len(header_length) < 20 and int(header_length) <= len(body)):
        message = "the length of the JSON is not one that the body can have"
        expected = f"a whole number of at most {len(body)}, the length of the body"
        raise malformed(message, field=HEADER.decode(), expected=expected)
    length = int(header_length)
    return body[:length], body[length:]


def _document(text: bytes) -> InferRequest:
    try:
        request: InferRequest = _decode(text)
        if text.count(b":") == _keys(request):
            return request
    except msgspec.ValidationError as error:
        raise _unfit(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return _document_slowly(text)


def _document_slowly(text: bytes) -> InferRequest:
    """Return the document by way of plain values, with no key repeated, or say what is wrong with it."""
    try:
        document = parse_json(text)
    except RequestError as error:
        if error.status == MALFORMED:
            error.field = error.field or "body"
            error.expected = f"a JSON object with inputs, and {SPELLED} where binary data follows it"
        raise
    try:
        return msgspec.convert(document, _PlainRequest)  # type: ignore[return-value]
    except msgspec.ValidationError as error:
        raise _unfit(error) from None


def _unfit(error: Exception) -> RequestError:
    # The message names types and keys, and never holds a value.
    reason, _, place = str(error).partition(" - at ")
    field = place.strip("`").removeprefix("$.") or "body"
    expected = "inputs, each with name, shape, datatype and data, and perhaps id, parameters and outputs"
    return malformed(f"the request has another form: {reason[:200]}", field=field[:120], expected=expected)


def _keys(request: InferRequest) -> int:
    """Return how many colons the document's text has if no key is repeated and no name or parameter holds one."""
    optional = (request.id, request.model_name, request.model_version, request.outputs)
    count = 1 + sum(value is not None for value in optional) + _keys_in(request.parameters)
    for entry in request.inputs:
        count += 3 + _keys_in(entry.parameters)
        if len(entry.data):
            count += 1
            if entry.datatype == "BYTES":
                count += bytes(entry.data).count(b":")
    for output in request.outputs or ():
        count += 1 + _keys_in(output.parameters)
    return count


def _keys_in(parameters: Parameters | None) -> int:
    return 0 if parameters is None else 1 + len(parameters)


def _binary_size(entry: Input) -> int | None:
    parameters = entry.parameters or {}
    if any(name.startswith("shared_memory") for name in parameters):
        message = f"input {shown(entry.name)} lies in shared memory, which this server does not read"
        raise invalid(message, field=f"inputs.{entry.name[:80]}", expected="data in the request")
    size = parameters.get(_SIZE)
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        message = f"{_SIZE} of input {shown(entry.name)} is no size"
        raise malformed(message, field=f"inputs.{entry.name[:80]}.parameters", expected="a whole number of bytes")
    return size


def _tensor(entry: Input, raw: bytes | None) -> InputTensor:
    name, data = entry.name, cast(Any, entry.data)
    if isinstance(data, msgspec.Raw) and len(data) < 5 and bytes(data) in (b"", b"null"):
        data = None
    known(entry.datatype, name)
    shape = entry.shape
    if len(shape) > MAX_AXES or (shape and min(shape) < 0):
        message = f"input {shown(name)} has a shape that no tensor has"
        raise invalid(message, field=f"inputs.{name[:80]}.shape", expected=f"at most {MAX_AXES} lengths of 0 or more")
    count = math.prod(shape)
    if (raw is None) == (data is None):
        message = f"input {shown(name)} has {'both data and binary data' if data is not None else 'no data'}"
        raise malformed(message, field=f"inputs.{name[:80]}", expected=f"either data or {_SIZE} in its parameters")
    content_type = None if entry.parameters is None else entry.parameters.get("content_type")
    found: list[Any] | Array
    if raw is not None:
        found = read_binary(name, entry.datatype, raw, count=count)
    else:
        found = values.read(name, data, datatype=entry.datatype, shape=shape)
    return InputTensor(name, entry.datatype, tuple(shape), found, content_type)


def wants_binary(output: RequestedOutput, *, default: bool) -> bool:
    """Return whether an output is to come in binary.

    Raises
    ------
    RequestError
        422 where the caller asks for what is not served.
    """
    parameters = output.parameters or {}
    field = f"outputs.{output.name[:80]}.parameters"
    for name in parameters:
        if name == "classification" or name.startswith("shared_memory"):
            message = f"output {shown(output.name)} is asked for with {name}, which is not served"
            raise invalid(message, field=field, expected=_BINARY)
    wanted = parameters.get(_BINARY, default)
    if not isinstance(wanted, bool):
        raise invalid(f"{_BINARY} is no boolean", field=field, expected="true or false")
    return wanted


def names_once(names: Sequence[str], what: str) -> None:
    """Refuse a name that comes twice."""
    if len(set(names)) != len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise invalid(f"{what} {shown(name)} was sent twice", field=name[:80], expected=f"each {what} once")
