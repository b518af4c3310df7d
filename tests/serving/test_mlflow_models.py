"""Models that MLflow saved, served by both: the same requests give the same answers, and MLflow's clients work."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from onnx import TensorProto, helper

from nbmlops.registry import mlmodel

from . import bundles
from .processes import config, listening, scorer

pytestmark = pytest.mark.integration


def saved(folder: Path, model, signature) -> tuple[Path, Path]:
    """Save a Python model with MLflow; return its folder and a bundle of it."""
    import mlflow.pyfunc

    place = folder / "bundle" / "model"
    mlflow.pyfunc.save_model(place, python_model=model, signature=signature, pip_requirements=["pandas"])
    return place, bundled(folder / "bundle", place, "pyfunc", {"path": "model"})


def bundled(folder: Path, place: Path, runtime: str, model) -> Path:
    files = {f"model/{path.relative_to(place)}": path.read_bytes() for path in place.rglob("*") if path.is_file()}
    signature = mlmodel.signature(yaml.safe_load((place / "MLmodel").read_text()))
    return bundles.write(folder, files, runtime=runtime, model=model, signature=signature)


@contextmanager
def mlflows(place: Path) -> Iterator:
    """MLflow's own scoring server, in this process."""
    import mlflow.pyfunc
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    with TestClient(init(mlflow.pyfunc.load_model(str(place)))) as client:
        yield client


def plain(answer):
    """An answer with null where MLflow writes NaN, which is no JSON."""
    return json.loads(answer.text, parse_constant=lambda _: None)


def agree(served, client, *documents) -> None:
    for document in documents:
        expected = client.post("/invocations", json=document)
        assert expected.status_code == 200, expected.text
        assert served.post(document).json == plain(expected), document


@pytest.fixture(scope="module")
def parametrised(tmp_path_factory) -> tuple[Path, Path]:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    class Described(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            told = {name: [type(value).__name__, str(value)] for name, value in sorted(params.items())}
            return [{"rows": len(model_input), "told": told}]

    signature = ModelSignature(
        inputs=Schema([ColSpec("double", "x")]),
        params=ParamSchema(
            [
                ParamSpec("threshold", "double", 0.5),
                ParamSpec("top", DataType.long, 3),
                ParamSpec("words", "string", ["a", "b"], shape=(-1,)),
                ParamSpec("since", "datetime", np.datetime64("2020-01-01T01:02:03")),
                ParamSpec("exact", "boolean", True),
            ]
        ),
    )
    return saved(tmp_path_factory.mktemp("parametrised"), Described(), signature)


def test_parameters_reach_the_model_as_mlflow_gives_them(served, parametrised):
    place, bundle = parametrised
    served.configure(("1", bundle, 1))
    rows = {"dataframe_records": [{"x": 1.0}, {"x": 2}]}
    given = {"threshold": 1, "top": 5, "words": ["z"], "since": "2021-01-01T00:00:00", "exact": False}
    with mlflows(place) as client:
        agree(served, client, rows, {**rows, "params": {}}, {**rows, "params": given}, {**rows, "params": None})
        agree(served, client, {**rows, "params": {"words": [], "since": "2021-01-01"}})
        for params in ({"threshold": "x"}, {"top": 1.5}, {"words": "a"}, {"since": "soon"}, []):
            assert client.post("/invocations", json={**rows, "params": params}).status_code >= 400
            assert served.post({**rows, "params": params}).status == 422


FRAME = pd.DataFrame(
    {
        "number": [1.5, np.nan],
        "text": ["a", None],
        "when": pd.to_datetime(["2013-01-01T00:00:00", "2014-02-03T04:05:06.000007"], format="ISO8601"),
        "zoned": pd.to_datetime(["2013-01-01", "2014-02-03"]).tz_localize("UTC"),
        "bytes": [b"ab", b"c" * 80],
        "whole": [1, 2],
        "flag": [True, False],
    }
)
ANSWERS = {
    "frame": FRAME,
    "series": FRAME["number"],
    "unnamed series": pd.Series([1, 2]),
    "moments": FRAME["when"],
    "array": np.array([[1.5, np.inf], [2, 3]]),
    "texts": np.array(["a", "b"]),
    "objects": np.array(["a", None, 1, b"ab"], dtype=object),
    "seconds": np.array(["2013-01-01"], dtype="M8[s]"),
    "nanoseconds": np.array(["2013-01-01"], dtype="M8[ns]"),
    "dict of arrays": {"a": np.array([1, 2]), "b": np.array([[1.0], [2.0]]), "c": np.array([b"ab"], dtype=object)},
    "list of dicts": [{"a": np.float32(1.5), "d": datetime.date(2013, 1, 2), "t": datetime.time(7, 30)}],
    "list of arrays": [np.array([1]), np.array([2])],
    "scalar": np.float64(1.5),
    "int": 3,
    "bool": np.bool_(True),
    "text": "text",
    "none": None,
}


@pytest.fixture(scope="module")
def answering(tmp_path_factory) -> tuple[Path, Path]:
    import mlflow.pyfunc

    class Answering(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return ANSWERS[model_input["name"].iloc[0]]

    return saved(tmp_path_factory.mktemp("answering"), Answering(), None)


def test_answers_of_every_kind_have_mlflows_shape(served, answering):
    place, bundle = answering
    served.configure(("1", bundle, 1))
    with mlflows(place) as client:
        agree(served, client, *({"dataframe_records": [{"name": name}]} for name in ANSWERS))


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> tuple[Path, Path]:
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    class Several(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            parts = {name: [array.dtype.kind, list(array.shape)] for name, array in sorted(model_input.items())}
            return {"parts": parts, "sum": model_input["a"].sum(axis=1) + model_input["b"]}

    signature = ModelSignature(
        inputs=Schema(
            [
                TensorSpec(np.dtype("float64"), (-1, 2), "a"),
                TensorSpec(np.dtype("int64"), (-1,), "b"),
                TensorSpec(np.dtype("str"), (-1,), "c"),
            ]
        )
    )
    return saved(tmp_path_factory.mktemp("several"), Several(), signature)


def test_named_tensors_are_taken_as_mlflow_takes_them(served, several):
    place, bundle = several
    served.configure(("1", bundle, 1))
    rows = [{"a": [1.5, 2], "b": 3, "c": "x"}, {"a": [3, 4], "b": 5, "c": "y"}]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    split = {"columns": list(columns), "data": [list(row.values()) for row in rows]}
    with mlflows(place) as client:
        agree(served, client, {"inputs": columns}, {"instances": rows}, {"dataframe_split": split})
        agree(served, client, {"dataframe_records": rows})
    for wrong, field in (
        ({**columns, "b": ["x", 1]}, "b[0]"),
        ({**columns, "a": [[1], [2]]}, "a"),
        ({**columns, "d": [1]}, "d"),
        ({"a": columns["a"], "b": columns["b"]}, "c"),
        ([1, 2], "inputs"),
        ({}, "a"),
    ):
        answer = served.post({"inputs": wrong})
        assert answer.status == 422, wrong
        assert answer.error["field"] == field


@pytest.fixture(scope="module")
def graph(tmp_path_factory) -> tuple[Path, Path]:
    """A graph that adds two tensors, one of whole numbers, and answers two."""
    import mlflow.onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    made = helper.make_graph(
        [
            helper.make_node("Cast", ["k"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "f"], ["sum"]),
            helper.make_node("Mul", ["x", "f"], ["product"]),
        ],
        "two",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("k", TensorProto.INT64, [None, 1]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("sum", "product")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    folder = tmp_path_factory.mktemp("graph")
    place = folder / "bundle" / "model"
    specs = [TensorSpec(np.dtype("float32"), (-1, 2), "x"), TensorSpec(np.dtype("int64"), (-1, 1), "k")]
    signature = ModelSignature(inputs=Schema(specs))
    mlflow.onnx.save_model(model, place, signature=signature, pip_requirements=["onnxruntime"])
    return place, bundled(folder / "bundle", place, "onnx", {"path": "model/model.onnx"})


def test_a_graph_of_several_tensors_answers_as_mlflow_does(served, graph):
    place, bundle = graph
    served.configure(("1", bundle, 1))
    columns = {"x": [[1.5, 2], [3, 4]], "k": [[1], [2]]}
    rows = [{"x": [1.5, 2], "k": [1]}, {"x": [3, 4], "k": [2]}]
    with mlflows(place) as client:
        agree(served, client, {"inputs": columns}, {"instances": rows})
    text = served.post(b"k,x\n1,2\n", "text/csv")
    assert (text.status, text.error["field"]) == (422, "x")  # a row of x has two values

    async def together():
        import asyncio

        return await asyncio.gather(
            *(
                served.request("POST", "/invocations", {"inputs": {"x": [[n, 0]], "k": [[1]]}}, "application/json")
                for n in range(4)
            )
        )

    answers = [answer.json["predictions"]["sum"] for answer in served.run(together())]
    assert answers == [[[n + 1, 1]] for n in range(4)]


def test_mlflows_client_talks_to_a_live_scorer(made, parametrised):
    from mlflow.deployments import PredictionsResponse
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    rows = bundles.frame(20, seed=3)
    with listening() as (listener, url), scorer(listener) as process:
        host, port = url.removeprefix("http://").split(":")
        client = ScoringServerClient(host, port)
        arms = [{"name": "1", "bundle": str(made("onnx"))}]
        assert process.order(op="configure", config=config(*arms))["ok"]
        client.wait_server_ready(timeout=30, scoring_server_proc=process.popen)
        client.ping()
        assert "server" in json.loads(client.get_version())

        answer = client.invoke(rows)
        assert isinstance(answer, PredictionsResponse)
        assert answer.get_predictions("ndarray").tolist() == bundles.fitted().predict(rows).tolist()
        assert answer.get_predictions()[0].tolist() == answer["predictions"]
        assert client.invoke(json.dumps({"inputs": rows.to_dict("list")})) == answer
        chances = client.invoke(rows, params={"output": "probabilities"})
        np.testing.assert_allclose(chances.get_predictions("ndarray"), bundles.fitted().predict_proba(rows), atol=1e-5)
        with pytest.raises(Exception, match="error code 422"):
            client.invoke(rows[["distance"]])

        assert process.order(op="configure", config=config({"name": "2", "bundle": str(parametrised[1])}))["ok"]
        told = client.invoke(pd.DataFrame({"x": [1.0]}), params={"top": 7})["predictions"][0]
        assert told["told"]["top"] == ["int", "7"]
