"""Models that take float64 get every number as it was sent: none goes by way of float32."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.conversion.exact import ExactConverter
from nbmlops.conversion.rungs import FLOAT64
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.registry.signature import columns_of

from . import bundles


def numbers(rows: int = 64) -> pd.DataFrame:
    """Numbers next to each other in float64 that are one in float32."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "large": random.integers(16_777_216, 16_777_226, rows).astype(np.float64),
            "small": 0.1 + random.integers(0, 9, rows) * 1e-9,
            "moment": 1_700_000_000.0 + random.integers(0, 60, rows),
            "whole": random.integers(2**30, 2**30 + 50, rows),
            "carrier": random.choice(["AA", "UA"], rows),
        }
    )


def fitted(kind, data):
    columns = ["large", "small", "moment", "whole"]
    target = data.large % 2 + data.small * 1e9 % 3 + data.moment % 7 + data.whole % 5 + (data.carrier == "AA")
    if kind == "trees":
        model = HistGradientBoostingRegressor(categorical_features=["carrier"], min_samples_leaf=1, max_iter=20)
        return ExactConverter(), model.fit(data, target)
    prepare = ColumnTransformer([("n", StandardScaler(), columns), ("c", OneHotEncoder(), ["carrier"])])
    return SklearnConverter(), make_pipeline(prepare, LinearRegression()).fit(data, target)


@pytest.fixture(params=["trees", "numbers behind a scaler"])
def model(request, served, tmp_path):
    """The converted model, served."""
    data = numbers()
    signature = {"inputs": columns_of(data), "task": "regression"}
    converter, estimator = fitted(request.param, data)
    onnx = converter.convert(estimator, signature, rung=FLOAT64)
    path = bundles.write(
        tmp_path / "bundle",
        {"model.onnx": onnx.content},
        runtime="onnx",
        model={"path": "model.onnx"},
        signature=signature,
        onnx=onnx.interface(),
    )
    served.configure(("1", path, 100))
    return onnx


def forms(rows: pd.DataFrame):
    records = rows.to_dict("records")
    yield "split", json.dumps({"dataframe_split": rows.to_dict("split")}), "application/json"
    yield "records", json.dumps({"dataframe_records": records}), "application/json"
    yield "instances", json.dumps({"instances": records}), "application/json"
    yield "inputs", json.dumps({"inputs": rows.to_dict("list")}), "application/json"
    yield "other order", json.dumps({"dataframe_split": rows[rows.columns[::-1]].to_dict("split")}), "application/json"
    yield "csv", rows.to_csv(index=False), "text/csv"


def test_every_form_of_request_is_answered_with_the_bits_of_the_converted_model(served, model):
    rows = numbers(40)
    expected = model.predict(rows)[0].ravel().tolist()
    assert len(set(expected)) > 30, "nothing is told apart"
    for name, body, kind in forms(rows):
        assert served.post(body.encode(), kind).predictions == expected, name


def test_requests_that_are_scored_together_are_answered_with_the_same_bits(served, model):
    rows = numbers(40)
    expected = model.predict(rows)[0].ravel().tolist()

    async def all_at_once():
        single = [rows.iloc[[place]].to_dict("split") for place in range(len(rows))]
        bodies = [json.dumps({"dataframe_split": one}).encode() for one in single]
        asked = [served.request("POST", "/invocations", body, "application/json", {}) for body in bodies]
        return await asyncio.gather(*asked)

    assert [answer.predictions[0] for answer in served.run(all_at_once())] == expected


def test_tensors_of_the_open_protocol_are_answered_with_the_same_bits(served, model):
    rows = numbers(40)
    kinds = {"float64": "FP64", "int64": "INT64"}
    inputs = [
        {
            "name": name,
            "datatype": kinds.get(str(rows[name].dtype), "BYTES"),
            "shape": [len(rows)],
            "data": rows[name].tolist(),
        }
        for name in rows
    ]
    answer = served.run(
        served.request(
            "POST", "/v2/models/flights/infer", json.dumps({"inputs": inputs}).encode(), "application/json", {}
        )
    )
    assert answer.status == 200, answer.body
    assert answer.json["outputs"][0]["data"] == model.predict(rows)[0].ravel().tolist()
