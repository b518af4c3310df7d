"""Captured records as data frames: one row for each row that was scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nbmlops.monitoring.answers import PREDICTION, answers_of, is_answer
from nbmlops.monitoring.bundles import OIP, UNREADABLE, Decoders, Undecodable
from nbmlops.monitoring.store import HOUR
from nbmlops.monitoring.tensors import tensor_answers_of
from nbmlops.serving.decoding import Decoder
from nbmlops.serving.inputs import Decoded, Generic, Rows, Table, Tensor, Tensors
from nbmlops.serving.outputs import to_json
from nbmlops.serving.segments import Record

FACTS = ("prediction_id", "time", "version", "arm", "latency_ms", "status", "key", "shadow")


@dataclass
class Group:
    """Records whose requests make one table: of one bundle, in one form, with the same columns."""

    decoder: Decoder
    classes: list[Any] | None
    records: list[Record] = field(default_factory=list)
    data: list[Decoded | Table] = field(default_factory=list)

    def frame(self) -> pd.DataFrame:
        """Return the rows of all requests with their answers, in order."""
        counts = [len(data) for data in self.data]
        inputs = _inputs(self.decoder, self.data)
        inputs.index = pd.RangeIndex(len(inputs))
        inputs.columns = _free([str(name) for name in inputs.columns])
        return pd.concat([_facts(self.records, counts), inputs, _answers(self.records, counts, self.classes)], axis=1)


def frames_of(records: Iterable[Record], decoders: Decoders) -> tuple[pd.DataFrame, list[Record]]:
    """Return the rows of `records`, and the records that can't be decoded.

    Returns
    -------
    frame : DataFrame of shape (n_rows, n_columns)
        `FACTS`, the input columns, the answer's columns. An input column whose name is one of the others' has
        ``input_`` before it. Where the model failed, the answer's columns are missing values.
    undecoded : list of Record
    """
    groups: dict[Any, Group] = {}
    undecoded = []
    for record in records:
        try:
            decoder, data = decoders.decode(record)
        except Undecodable:
            undecoded.append(record)
            continue
        kin = None if isinstance(data, Generic | Table) else data.kin
        group = groups.setdefault((id(decoder), type(data), kin), Group(decoder, decoders.classes(record)))
        group.records.append(record)
        group.data.append(data)
    return joined([group.frame() for group in groups.values()]), undecoded


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return all rows in the order of their time, the columns of the answers last.

    Rows of one request stay together and in order.
    """
    found = [frame for frame in frames if len(frame)]
    if not found:
        return pd.DataFrame({name: pd.Series(dtype=_dtype(name)) for name in FACTS})
    frame = pd.concat(found) if len(found) > 1 else found[0]
    # Text beside a column that was absent elsewhere is text again.
    frame = frame.infer_objects().sort_values("time", kind="stable", ignore_index=True)
    return frame[[*FACTS, *sorted((name for name in frame if name not in FACTS), key=is_answer)]]


def _dtype(name: str) -> Any:
    dtypes = {"time": "datetime64[ns, UTC]", "latency_ms": "float64", "status": "int64", "shadow": "bool"}
    return dtypes.get(name, "str")


def _free(names: list[str]) -> list[str]:
    """Return the names of input columns, changed where they are those of other columns."""
    taken = set(names)
    free = []
    for name in names:
        found = name
        while found in (*FACTS, HOUR) or is_answer(found) or (found != name and found in taken):
            found = f"input_{found}"
        free.append(found)
    return free


def _facts(records: list[Record], counts: list[int]) -> pd.DataFrame:
    ids = [f"{record.prediction}:{row}" for record, count in zip(records, counts, strict=True) for row in range(count)]
    facts = {
        "time": np.array([record.time_ns for record in records], dtype="datetime64[ns]"),
        "version": [record.version for record in records],
        "arm": [record.arm for record in records],
        "latency_ms": [1000 * record.latency_s for record in records],
        "status": [record.status for record in records],
        "key": [record.key for record in records],
        "shadow": [record.shadow for record in records],
    }
    frame = pd.DataFrame(facts).iloc[np.repeat(np.arange(len(records)), counts)].reset_index(drop=True)
    frame["time"] = frame["time"].dt.tz_localize("UTC")
    return frame.assign(prediction_id=pd.Series(ids, dtype="str"))


def _inputs(decoder: Decoder, batch: list[Decoded | Table]) -> pd.DataFrame:
    """Return the rows of several requests of one form."""
    first = batch[0]
    if isinstance(first, Rows):
        table = decoder.tabulate(batch)  # type: ignore[attr-defined]
        return pd.DataFrame(dict(zip(table.names, table.columns, strict=True)), index=range(sum(map(len, batch))))
    if isinstance(first, Table):
        tables = [one for one in batch if isinstance(one, Table)]
        return pd.concat([pd.DataFrame(dict(zip(one.names, one.columns, strict=True))) for one in tables])
    if isinstance(first, Tensor):
        array = np.concatenate([one.array for one in batch if isinstance(one, Tensor)])
        if array.ndim <= 2:
            return pd.DataFrame(array.reshape(len(array), -1))
        return pd.DataFrame({"input": _listed(array)})
    if isinstance(first, Tensors):
        return pd.concat([_named(one) for one in batch if isinstance(one, Tensors)], ignore_index=True)
    documents = [to_json(one.data).decode() for one in batch if isinstance(one, Generic)]
    return pd.DataFrame({"input": documents})


def _named(tensors: Tensors) -> pd.DataFrame:
    """Return named tensors as columns; one that does not count rows is a single cell."""
    arrays = tensors.arrays if tensors.rows else [array[None] for array in tensors.arrays]
    flat = [array.reshape(-1) if array.ndim <= 2 and array[0].size == 1 else _listed(array) for array in arrays]
    return pd.DataFrame(dict(zip(tensors.names, flat, strict=True)))


def _listed(array: Any) -> pd.Series:
    return pd.Series(array.tolist(), dtype=object)


def _answers(records: list[Record], counts: list[int], classes: list[Any] | None) -> pd.DataFrame:
    rows = sum(counts)
    columns: dict[str, list[Any]] = {}
    start = 0
    for record, count in zip(records, counts, strict=True):
        for name, values in _answer(record, count, classes).items():
            if name not in columns:
                columns[name] = [None] * rows
            columns[name][start : start + count] = values
        start += count
    return pd.DataFrame(columns or {PREDICTION: [None] * rows})


def _answer(record: Record, rows: int, classes: list[Any] | None) -> dict[str, list[Any]]:
    if record.status != 200 or not record.answer:
        return {}
    try:
        if record.wire == OIP:
            return tensor_answers_of(record.answer, record.answer_split, rows=rows, classes=classes)
        return answers_of(record.answer, rows)
    except UNREADABLE:
        return {}
