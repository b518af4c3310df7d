"""The Open Inference Protocol as a caller meets it: paths, metadata, answers, errors."""

from __future__ import annotations

import asyncio
import json

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nbmlops.serving.oip.answers import tensors_of, write_answer
from nbmlops.serving.outputs import Outputs

from . import bundles
from .tensors_v2 import binary, tensor, unpacked

MODEL = "/v2/models/flights"
ROWS = bundles.frame(50, seed=3)
INPUTS = [
    tensor("distance", "FP64", ROWS["distance"].tolist()),
    tensor("hour", "INT64", ROWS["hour"].tolist(), [50, 1]),
    tensor("carrier", "BYTES", ROWS["carrier"].tolist()),
]
ONE = [tensor("distance", "FP64", [500.0]), tensor("hour", "INT64", [7]), tensor("carrier", "BYTES", ["AA"])]
LABELS = bundles.fitted().predict(ROWS).tolist()
PROBABILITIES = bundles.fitted().predict_proba(ROWS)


def infer(served, inputs, path=MODEL, *, headers=None, **more):
    body = inputs if isinstance(inputs, bytes) else {"inputs": inputs, **more}
    return served.run(served.request("POST", f"{path}/infer", body, None, headers or {}))


def outputs(answer):
    assert answer.status == 200, answer.body
    return unpacked(answer.body, answer.headers)


def batches(served):
    return int(sum(served.application.router.arms["1"].metrics.batches.values[:-1]))


@pytest.fixture
def flights(served, made):
    served.configure(("1", made("onnx"), 100))
    return served


@pytest.mark.parametrize("kind", ["onnx", "skops"])
@pytest.mark.parametrize("in_binary", [True, False])
@pytest.mark.parametrize("out_binary", [True, False])
def test_answers_are_the_models_own_in_every_form(served, made, kind, in_binary, out_binary):
    served.configure(("1", made(kind), 100))
    wanted = [{"name": name, "parameters": {"binary_data": out_binary}} for name in ("predict_proba", "predict")]
    body, headers = binary(*INPUTS, outputs=wanted, id="mine") if in_binary else (b"", {})
    answer = infer(served, body, headers=headers) if in_binary else infer(served, INPUTS, outputs=wanted, id="mine")
    found = outputs(answer)
    assert list(found) == ["predict_proba", "predict"], "as they were asked for"
    assert found["predict"] == LABELS
    np.testing.assert_allclose(found["predict_proba"], PROBABILITIES, atol=1e-6)
    assert ("inference-header-content-length" in answer.headers) == out_binary
    assert answer.headers["content-type"] == ("application/octet-stream" if out_binary else "application/json")
    split = int(answer.headers.get("inference-header-content-length", len(answer.body)))
    document = json.loads(answer.body[:split])
    assert {name: document[name] for name in ("model_name", "model_version", "id")} == {
        "model_name": "flights",
        "model_version": "1",
        "id": "mine",
    }
    datatypes = {output["name"]: output["datatype"] for output in document["outputs"]}
    described = {output["name"]: output["datatype"] for output in served.get(MODEL).json["outputs"]}
    assert datatypes == described, "as the metadata says"


def test_the_path_counts_and_not_what_the_document_repeats_of_it(flights):
    assert infer(flights, ONE, model_name="flights", model_version=None).status == 200
    refused = infer(flights, ONE, model="flights")
    assert refused.status == 400
    assert "`model`" in refused.json["error"]


def test_without_an_id_the_answer_has_the_predictions(flights):
    answer = infer(flights, ONE)
    assert answer.json["id"] == answer.headers["x-prediction-id"]
    assert outputs(answer) == {"predict": [int(bundles.fitted().predict(bundles.frame(0).reindex([0]).assign(
        distance=500.0, hour=7, carrier="AA"))[0])]}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["predict"]),
        ({"parameters": {"output": "label"}}, ["predict"]),
        ({"parameters": {"output": "probabilities"}}, ["predict_proba"]),
        ({"parameters": {"output": "both"}}, ["predict", "predict_proba"]),
        ({"outputs": [{"name": "predict_proba"}]}, ["predict_proba"]),
        ({"outputs": []}, ["predict"]),
        ({"outputs": None, "parameters": None, "id": None}, ["predict"]),
    ],
)
def test_labels_probabilities_or_both_as_asked(flights, asked, expected):
    assert list(outputs(infer(flights, ONE, **asked))) == expected


def test_all_outputs_in_binary_unless_said_otherwise(flights):
    answer = infer(flights, ONE, parameters={"binary_data_output": True, "output": "both"})
    split = int(answer.headers["inference-header-content-length"])
    assert all("data" not in output for output in json.loads(answer.body[:split])["outputs"])
    mixed = [{"name": "predict"}, {"name": "predict_proba", "parameters": {"binary_data": False}}]
    answer = infer(flights, ONE, parameters={"binary_data_output": True}, outputs=mixed)
    split = int(answer.headers["inference-header-content-length"])
    assert ["data" in output for output in json.loads(answer.body[:split])["outputs"]] == [False, True]


@pytest.mark.parametrize("name", ["content_type", "headers", "priority", "timeout", "sequence_id"])
def test_what_clients_of_other_servers_send_along_is_no_fault(flights, name):
    assert list(outputs(infer(flights, ONE, parameters={name: "1"}))) == ["predict"]


@pytest.mark.parametrize(
    ("asked", "field", "message"),
    [
        ({"parameters": {"outptu": "both"}}, "parameters.outptu", "did you mean 'output'"),
        ({"parameters": {"output": "all"}}, "parameters.output", "label or probabilities or both"),
        ({"parameters": {"content_type": 1}}, "parameters", "pd or np"),
        ({"parameters": {"binary_data_output": 1}}, "parameters", "true or false"),
        ({"outputs": [{"name": "predict_prob"}]}, "outputs.predict_prob", "did you mean 'predict_proba'"),
        ({"outputs": [{"name": "predict"}, {"name": "predict"}]}, "predict", "twice"),
        ({"outputs": [{"name": "predict", "parameters": {"classification": 2}}]}, "outputs.predict.parameters", "not"),
        ({"outputs": [{"name": "predict", "parameters": {"binary_data": 1}}]}, "outputs.predict.parameters", "true"),
        ({"outputs": [{"named": "predict"}]}, "outputs[0]", "named"),
    ],
)
def test_an_error_is_a_string_for_clients_and_has_the_field_for_programs(flights, asked, field, message):
    answer = infer(flights, ONE, **asked)
    assert answer.status in (400, 422)
    assert set(answer.json) == {"error", "code", "field"}
    assert message in answer.json["error"]
    assert answer.json["field"] == field


def test_a_model_without_probabilities_says_so(served, made):
    served.configure(("1", made("ten"), 100))
    x = [tensor("x", "FP64", [1.0])]
    answer = infer(served, x, outputs=[{"name": "predict_proba"}])
    assert answer.status == 422
    assert "expected predict" in answer.json["error"]
    assert infer(served, x, parameters={"output": "both"}).status == 422
    assert outputs(infer(served, x)) == {"predict": [11.0]}


def test_versions_and_names_in_the_path_choose_the_arm(served, made):
    served.configure(("ten", made("ten"), 100), ("twenty", made("twenty"), 0), endpoint="late")
    x = [tensor("x", "FP64", [1.0])]
    for path in ("/v2/models/late", "/v2/models/flights", "/v2/models/flights/versions/ten"):
        answer = infer(served, x, path)
        assert outputs(answer) == {"predict": [11.0]}
        assert answer.json["model_name"] == path.split("/")[3]
    answer = infer(served, x, "/v2/models/late/versions/twenty", headers={"x-nbmlops-version": "ten"})
    assert outputs(answer) == {"predict": [21.0]}
    assert answer.headers["x-nbmlops-version"] == answer.json["model_version"] == "twenty"
    assert outputs(infer(served, x, headers={"x-nbmlops-version": "twenty"})) == {"predict": [21.0]}
    assert served.get("/v2/models/late").json["versions"] == ["ten", "twenty"]
    assert served.get("/v2/models/late/versions/twenty").json["versions"] == ["twenty"]
    for path, message in [
        ("/v2/models/lat", "did you mean 'late'"),
        ("/v2/models/late/versions/9", "no version '9'"),
        ("/v2/models/late/infr", "/v2/models/late/infer"),
        ("/v2/nothing", "/v2"),
    ]:
        answer = served.get(path)
        assert answer.status == 404
        assert message in answer.json["error"]
    wrong = served.get("/v2/models/late/infer")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


def test_models_of_one_endpoint_go_by_their_own_names(served, made):
    arms = [
        {"name": f"{model}/{version}", "model": model, "version": version, "bundle": str(made(bundle))}
        for model, version, bundle in [("a", "1", "ten"), ("b", "1", "twenty"), ("b", "2", "ten")]
    ]
    document = {"format": 1, "endpoint": "e", "token": None, "arms": arms}
    served.run(served.control.configure(document))
    x = [tensor("x", "FP64", [1.0])]
    assert outputs(infer(served, x, "/v2/models/a")) == {"predict": [11.0]}
    assert outputs(infer(served, x, "/v2/models/b/versions/1")) == {"predict": [21.0]}
    answer = infer(served, x, "/v2/models/b")
    assert answer.status == 404, "which of the two is not said"
    assert "/v2/models/b/versions/2" in answer.json["error"]


def test_metadata_follows_the_signature(flights):
    assert flights.get("/v2").json == {
        "name": "nbmlops",
        "version": flights.get("/version").json["server"],
        "extensions": ["binary_tensor_data", "parameters"],
    }
    assert flights.get(MODEL).json == {
        "name": "flights",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "distance", "datatype": "FP64", "shape": [-1, 1]},
            {"name": "hour", "datatype": "INT64", "shape": [-1, 1]},
            {"name": "carrier", "datatype": "BYTES", "shape": [-1, 1]},
        ],
        "outputs": [
            {"name": "predict", "datatype": "INT64", "shape": [-1]},
            {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2], "parameters": {"classes": "[0, 1]"}},
        ],
    }


def test_a_tensor_model_says_what_it_takes_and_takes_it(served, made):
    served.configure(("1", made("tensor"), 100))
    described = served.get(MODEL).json
    assert described["inputs"] == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 2]}]
    body, headers = binary(tensor("anything", "FP32", [1, 5, 7, 3], [2, 2]))
    assert outputs(infer(served, body, headers=headers)) == {"predict": [5.0, 7.0]}


def test_the_server_is_live_before_it_is_ready(served, made):
    assert (served.get("/v2/health/live").status, served.get("/v2/health/ready").status) == (200, 503)
    served.configure(("1", made("ten"), 100), token="secret")
    assert served.get("/v2/health/live").json == {"live": True}
    assert served.get("/v2/health/ready").json == {"ready": True}
    refused = served.get(f"{MODEL}/ready")
    assert refused.status == 401
    assert isinstance(refused.json["error"], str)
    right = {"authorization": "Bearer secret"}
    assert served.get(f"{MODEL}/ready", **right).json == {"ready": True}
    assert served.get(f"{MODEL}/versions/1/ready", **right).status == 200
    index = served.run(served.request("POST", "/v2/repository/index", b"", None, right))
    assert index.json == [{"name": "flights", "version": "1", "state": "READY", "reason": ""}]
    assert served.run(served.request("POST", "/v2/repository/index", b"")).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "application/octet-stream"}, 200),
        ({"content-type": "text/csv"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
def test_what_is_neither_json_nor_tensors_is_refused(flights, headers, status):
    answer = infer(flights, ONE, headers=headers)
    assert answer.status == status


def test_requests_that_come_together_are_scored_together(served, made):
    served.configure(("1", made("tensor"), 100))
    bodies = [binary(tensor("x", "FP64", [float(n), 0.0], [1, 2])) for n in range(5)]

    async def all_at_once():
        calls = [served.request("POST", f"{MODEL}/infer", body, None, headers) for body, headers in bodies]
        return await asyncio.gather(*calls)

    answers = served.run(all_at_once())
    assert [outputs(answer)["predict"] for answer in answers] == [[float(n)] for n in range(5)]
    assert batches(served) == 1


def test_tables_that_come_together_are_scored_together(flights):
    bodies = [
        binary(*[{**entry, "data": entry["data"][n : n + 1], "shape": [1]} for entry in INPUTS]) for n in range(8)
    ]

    async def all_at_once():
        calls = [flights.request("POST", f"{MODEL}/infer", body, None, headers) for body, headers in bodies]
        return await asyncio.gather(*calls)

    answers = flights.run(all_at_once())
    assert [outputs(answer)["predict"][0] for answer in answers] == LABELS[:8]
    assert batches(flights) == 1


def test_a_graph_of_unknown_outputs_answers_under_its_own_names(served, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["minus"]), helper.make_node("Cast", ["x"], ["text"], to=TensorProto.STRING)],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor_value_info("minus", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("text", TensorProto.STRING, [None, 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    bundle = bundles.write(
        tmp_path / "two",
        {"model.onnx": model.SerializeToString()},
        runtime="onnx",
        model={"path": "model.onnx"},
        signature={"inputs": {"tensor": {"dtype": "float32", "shape": [-1, 2]}}, "task": "other"},
    )
    served.configure(("1", bundle, 100))
    x = [tensor("x", "FP32", [1.5, 2.0], [1, 2])]
    assert outputs(infer(served, x)) == {"minus": [[-1.5, -2.0]], "text": [["1.5", "2"]]}
    wanted = [{"name": "text", "parameters": {"binary_data": True}}]
    assert outputs(infer(served, x, outputs=wanted)) == {"text": ["1.5", "2"]}
    refused = infer(served, x, outputs=[{"name": "predict"}])
    assert refused.status == 422
    assert "minus or text" in refused.json["error"]
    assert served.get(MODEL).json["outputs"] == []


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ([1, 2], {"predict": ("INT64", [1, 2])}),
        ([1, 2.5, None], {"predict": ("FP64", [1.0, 2.5, None])}),
        ([[1.5], [2.5]], {"predict": ("FP64", [1.5, 2.5])}),
        ([True, False], {"predict": ("BOOL", [True, False])}),
        (["a", None], {"predict": ("BYTES", ["a", None])}),
        ("a", {"predict": ("BYTES", ["a"])}),
        ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], {"a": ("INT64", [1, 2]), "b": ("BYTES", ["x", "y"])}),
        ({"a": [1, 2], "b": 0.5}, {"a": ("INT64", [1, 2]), "b": ("FP64", [0.5])}),
        ([1, "a"], {"predict": ("BYTES", ['[1,"a"]'])}),
        ([[1], [2, 3]], {"predict": ("BYTES", ["[[1],[2,3]]"])}),
        ([{"a": {"b": 1}}], {"predict": ("BYTES", ['[{"a":{"b":1}}]'])}),
        (None, {"predict": ("BYTES", [None])}),
    ],
)
def test_whatever_a_model_answers_becomes_tensors(payload, expected):
    for form in (payload, msgspec.Raw(msgspec.json.encode(payload))):
        found = tensors_of(Outputs(payload=form), None)
        document = json.loads(write_answer({}, [(name, array, False) for name, array in found.items()]).body)
        assert {output["name"]: (output["datatype"], output["data"]) for output in document["outputs"]} == expected


def test_a_refusal_of_a_binary_request_leaves_the_capture_in_order(served, made, tmp_path):
    served.configure(("1", made("onnx"), 100), capture={"folder": str(tmp_path / "collected")})
    for length in ("", "x", "99999"):
        body, _ = binary(*ONE)
        assert infer(served, body, headers={"inference-header-content-length": length}).status == 400
    body, headers = binary(*ONE)
    assert infer(served, body, headers=headers).status == 200
