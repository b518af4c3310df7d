"""Requests and answers in the Open Inference Protocol, as they are read after they were kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nbmlops.monitoring.compact import compact
from nbmlops.serving.oip.answers import write_answer

NAMES, DATATYPES = ("distance", "hour", "carrier"), ("FP64", "INT64", "BYTES")
LABELS, PROBABILITIES = np.array([1, 0]), np.array([[0.25, 0.75], [0.5, 0.5]])


def columns_request() -> bytes:
    data = ([1.5, 2.5], [7, 8], ["AA", "Zürich"])
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": datatype, "data": values}
        for name, datatype, values in zip(NAMES, DATATYPES, data, strict=True)
    ]
    return json.dumps({"inputs": inputs}).encode()


def binary_request() -> tuple[bytes, int]:
    parts = [np.array([1.5, 2.5]).tobytes(), np.array([7, 8]).tobytes(), b""]
    parts[2] = b"".join(len(text).to_bytes(4, "little") + text for text in (b"AA", "Zürich".encode()))
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": kind, "parameters": {"binary_data_size": len(part)}}
        for name, kind, part in zip(NAMES, DATATYPES, parts, strict=True)
    ]
    text = json.dumps({"inputs": inputs}).encode()
    return text + b"".join(parts), len(text)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("shadow", [False, True])
def test_rows_are_the_same_whatever_form_they_had(world, binary, shadow):
    body, split = binary_request() if binary else (columns_request(), 0)
    answer = write_answer(
        {"model_name": "flights"}, [("predict", LABELS, binary), ("predict_proba", PROBABILITIES, binary)]
    )
    length = next((int(value) for _, value in answer.headers), 0)
    more = {"wire": "oip", "kind": "", "split": split, "answer_split": 0 if shadow else length, "shadow": shadow}
    world.spool([world.record(1, body, answer.body, **more)]).close()
    for frame in (world.collected(shadows=True), compacted(world)):
        assert frame["distance"].tolist() == [1.5, 2.5]
        assert frame["hour"].tolist() == [7, 8]
        assert frame["carrier"].tolist() == ["AA", "Zürich"]
        assert frame["prediction"].tolist() == [1, 0]
        assert frame["probability_0"].tolist() == [0.25, 0.5]
        assert frame["probability_1"].tolist() == [0.75, 0.5]
        assert frame.attrs["undecoded"] == 0


def compacted(world):
    assert compact(world.folder, world.bundles).undecoded == 0
    return world.collected(shadows=True)


def test_texts_and_outputs_of_other_shapes_are_kept(world):
    answer = write_answer(
        {},
        [
            ("predict", np.array([b"yes", b"no"], dtype=object), True),
            ("pair", np.array([[1, 2], [3, 4]]), False),
            ("whole", np.array([1.0, 2.0, 3.0]), False),
        ],
    )
    length = int(answer.headers[0][1])
    world.spool([world.record(1, columns_request(), answer.body, wire="oip", answer_split=length)]).close()
    frame = world.collected()
    assert frame["prediction"].tolist() == ["yes", "no"]
    assert frame["output_pair"].tolist() == [[1, 2], [3, 4]]
    assert frame["output_whole"].dropna().tolist() == ["[1.0,2.0,3.0]"]
