"""Requests of the Open Inference Protocol, written by means of the specification alone."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

KINDS = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None, **parameters: Any) -> Any:
    """Describe a tensor with its data in JSON."""
    document = {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data}
    return {**document, "parameters": parameters} if parameters else document


def packed(datatype: str, values: Any) -> bytes:
    """Return the bytes of a binary tensor."""
    if datatype != "BYTES":
        return np.array(values, KINDS[datatype]).tobytes()
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    return b"".join(struct.pack("<I", len(value)) + value for value in raw)


def binary(*tensors: Any, **more: Any) -> tuple[bytes, dict[str, str]]:
    """Move the data of tensors behind the JSON; return body and headers."""
    documents, parts = [], []
    for document in tensors:
        raw = packed(document["datatype"], document["data"])
        rest = {name: value for name, value in document.items() if name != "data"}
        documents.append({**rest, "parameters": {**rest.get("parameters", {}), "binary_data_size": len(raw)}})
        parts.append(raw)
    text = json.dumps({"inputs": documents, **more}).encode()
    return text + b"".join(parts), {"inference-header-content-length": str(len(text))}


def unpacked(body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """Return the outputs of an answer by name, as arrays or lists."""
    split = int(headers.get("inference-header-content-length", len(body)))
    document, rest = json.loads(body[:split]), body[split:]
    found = {}
    for output in document["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = np.array(output["data"]).reshape(output["shape"]).tolist()
            continue
        raw, rest = rest[:size], rest[size:]
        if output["datatype"] != "BYTES":
            found[output["name"]] = np.frombuffer(raw, KINDS[output["datatype"]]).reshape(output["shape"]).tolist()
            continue
        values = []
        while raw:
            length = struct.unpack_from("<I", raw)[0]
            values.append(raw[4 : 4 + length].decode())
            raw = raw[4 + length :]
        found[output["name"]] = values
    assert not rest
    return found
