from __future__ import annotations

import asyncio
import json
import re

import pytest

from nbmlops.serving.faultfile import FaultFile

from . import bundles

ROW = {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def flights(served, made):
    served.configure(("3", made("onnx"), 100), token="secret")
    served.auth = {"authorization": "Bearer secret"}
    return served


def test_answers_what_the_fitted_object_predicts(flights):
    rows = bundles.frame(50, seed=4)
    answer = flights.post({"dataframe_split": rows.to_dict("split")}, **flights.auth)
    assert answer.predictions == bundles.fitted().predict(rows).tolist()
    assert answer.headers["x-nbmlops-version"] == "3"
    assert UUID7.fullmatch(answer.headers["x-prediction-id"])


def test_every_prediction_has_an_id_of_its_own(flights):
    ids = {flights.post({"dataframe_split": ROW}, **flights.auth).headers["x-prediction-id"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize(
    "path", ["/version", "/metrics", "/openapi.json", "/docs", "/invocations", "/nothing", "/ping/"]
)
@pytest.mark.parametrize("given", [{}, {"authorization": "Bearer other"}, {"authorization": "secret"}])
def test_everything_but_health_needs_the_token(flights, path, given):
    answer = flights.get(path, **given)
    assert answer.status == 401
    assert answer.error["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "secret" not in answer.body.decode()


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_health_is_open(flights, path):
    assert flights.get(path).status == 200


def test_the_scheme_is_read_in_any_case(flights):
    assert flights.get("/version", authorization="bearer secret").status == 200


def test_without_a_token_all_is_open(served, made):
    served.configure(("1", made("ten"), 1))
    assert served.get("/version").status == 200
    assert served.post({"inputs": {"x": [1.0]}}).predictions == [11.0]


def test_version_names_server_endpoint_and_arms(flights):
    arm = flights.get("/version", **flights.auth).json["arms"][0]
    assert arm["name"] == "3"
    assert arm["runtime"] == "onnx"
    assert arm["bundle"].startswith("sha256:")
    assert arm["environment_id"] == "sha256:" + "e" * 64
    assert flights.get("/version", **flights.auth).json["endpoint"] == "flights"


def test_unknown_path_and_method_are_named(flights):
    assert flights.get("/nothing", **flights.auth).error["code"] == "not_found"
    answer = flights.get("/invocations", **flights.auth)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert flights.run(flights.request("POST", "/version", headers=flights.auth)).status == 405
    assert flights.run(flights.request("HEAD", "/ping")).status == 200


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json; charset=latin-1", "application/json; boundary=x"]
)
def test_other_content_types_are_refused(flights, content_type):
    answer = flights.post({"dataframe_split": ROW}, content_type, **flights.auth)
    assert (answer.status, answer.error["field"]) == (415, "content-type")
    assert UUID7.fullmatch(answer.headers["x-prediction-id"])


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
def test_json_is_taken_in_utf8(flights, content_type):
    assert flights.post({"dataframe_split": ROW}, content_type, **flights.auth).status == 200


def test_a_declared_body_over_the_limit_is_refused_unread(served, made):
    served.configure(("1", made("ten"), 1), limits={"body_bytes": 100})
    headers = {"content-type": "application/json", "content-length": "101"}
    # The caller never sends a byte of it; reading would hang.
    answer = served.run(asyncio.wait_for(served.exchange("POST", "/invocations", headers, []), 5))
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


def test_a_chunked_body_over_the_limit_is_refused(served, made):
    served.configure(("1", made("ten"), 1), limits={"body_bytes": 100})
    headers = {"content-type": "application/json"}
    answer = served.run(served.exchange("POST", "/invocations", headers, [b"x" * 60, b"x" * 60, b"x"]))
    assert answer.status == 413


def test_a_chunked_body_is_put_together(served, made):
    served.configure(("1", made("ten"), 1))
    headers = {"content-type": "application/json"}
    body = json.dumps({"inputs": {"x": [1.0]}}).encode()
    answer = served.run(served.exchange("POST", "/invocations", headers, [body[:5], body[5:9], body[9:]]))
    assert answer.predictions == [11.0]


def test_a_body_that_never_comes_is_given_up(served, made):
    served.configure(("1", made("ten"), 1), limits={"read_s": 0.05})
    answer = served.run(served.exchange("POST", "/invocations", {"content-type": "application/json"}, []))
    assert (answer.status, answer.error["code"]) == (408, "slow_request")


def test_a_caller_that_goes_away_is_let_go(served, made):
    served.configure(("1", made("ten"), 1))
    answer = served.run(served.exchange("POST", "/invocations", {"content-type": "application/json"}, [b"{", None]))
    assert answer.status == 0
    assert served.application.in_flight == 0


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "²"])
def test_an_odd_content_length_does_no_harm(served, made, length):
    served.configure(("1", made("ten"), 1))
    headers = {"content-type": "application/json", "content-length": length}
    body = json.dumps({"inputs": {"x": [1.0]}}).encode()
    assert served.run(served.exchange("POST", "/invocations", headers, [body])).status in (200, 400)


def test_before_it_is_configured_it_says_so(served):
    assert served.get("/ping").status == 503
    answer = served.post({"dataframe_split": ROW})
    assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "not_configured", "1")
    assert served.get("/openapi.json").status == 503


def test_a_model_that_raises_gives_no_traceback_away(served, tmp_path):
    path = bundles.sklearn_bundle(tmp_path / "b", bundles.Raises(), serialization="cloudpickle")
    served.configure(("1", path, 1), errors=str(tmp_path / "errors"))
    answer = served.post({"dataframe_split": ROW})
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    prediction = answer.headers["x-prediction-id"]
    assert prediction in answer.error["message"]
    assert "the model's secret reason" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
    served.application.notes.errors.flush()
    kept = FaultFile(tmp_path / "errors").find(prediction)
    assert "the model's secret reason" in kept.failure.chain[-1].message


def test_a_request_that_failed_is_kept_with_what_was_raised_and_answered(served, tmp_path, capfd):
    path = bundles.sklearn_bundle(tmp_path / "b", bundles.Raises(), serialization="cloudpickle")
    served.configure(("1", path, 1), errors=str(tmp_path / "errors"))
    answer = served.post({"dataframe_split": ROW}, authorization="Bearer secret")
    assert served.application.notes.errors.flush()
    [kept] = FaultFile(tmp_path / "errors").newest(10)
    assert (kept.prediction, kept.answer) == (answer.headers["x-prediction-id"], answer.body)
    assert (kept.arm, kept.model, kept.status, kept.code) == ("1", "flights", 500, "model_error")
    assert kept.bundle == json.loads(served.get("/version").body)["arms"][0]["bundle"]
    assert json.loads(kept.body) == {"dataframe_split": ROW}
    assert kept.headers == {"content-type": "application/json"}
    assert kept.failure.kind == "RuntimeError"
    assert kept.failure.frames[-1].function == "Raises.predict"
    assert capfd.readouterr().err == f"{kept.prediction} arm=1 RuntimeError\n"


def test_a_model_that_takes_too_long_is_kept_too(served, tmp_path):
    path = bundles.sklearn_bundle(tmp_path / "b", bundles.Sleeps(0.5), serialization="cloudpickle")
    served.configure(("1", path, 1), errors=str(tmp_path / "errors"), limits={"timeout_s": 0.01})
    assert served.post({"dataframe_split": ROW}).status == 504
    assert served.application.notes.errors.flush()
    [kept] = FaultFile(tmp_path / "errors").newest(10)
    assert (kept.status, kept.code) == (504, "timeout")


def test_what_the_caller_did_wrong_is_no_error_of_the_endpoint(served, made, tmp_path):
    served.configure(("1", made("onnx"), 1), errors=str(tmp_path / "errors"))
    assert served.post({"dataframe_split": {"columns": ["hour"], "data": [[1]]}}).status == 422
    assert served.application.notes.errors.flush()
    assert FaultFile(tmp_path / "errors").newest(10) == []


def test_a_log_that_anyone_may_collect_holds_no_data(capsys, served, tmp_path):
    path = bundles.sklearn_bundle(tmp_path / "b", bundles.Raises(), serialization="cloudpickle")
    served.configure(("1", path, 1))
    served.post({"dataframe_split": ROW})
    said = capsys.readouterr().err
    assert "in Raises.predict" in said
    assert "RuntimeError: " not in said


def test_an_error_of_the_server_itself_is_answered_and_logged(flights, monkeypatch, capsys):
    def broken(*_):
        raise KeyError("inner")

    monkeypatch.setattr(flights.application.router.arms["3"].batcher, "submit", broken)
    answer = flights.post({"dataframe_split": ROW}, **flights.auth)
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert "inner" not in answer.body.decode()
    assert flights.application.in_flight == 0


def test_a_model_that_hangs_times_out(served, tmp_path):
    path = bundles.sklearn_bundle(tmp_path / "b", bundles.Sleeps(0.5), serialization="cloudpickle")
    served.configure(("1", path, 1), limits={"timeout_s": 0.05})
    answer = served.post({"dataframe_split": ROW})
    assert (answer.status, answer.error["code"]) == (504, "timeout")


def test_a_full_queue_is_refused_at_once(served, tmp_path):
    path = bundles.sklearn_bundle(tmp_path / "b", bundles.Sleeps(0.2), serialization="cloudpickle")
    served.configure(("1", path, 1), limits={"queue": 2})

    async def crowd():
        requests = [
            served.request("POST", "/invocations", {"dataframe_split": ROW}, "application/json") for _ in range(5)
        ]
        return await asyncio.gather(*requests)

    answers = served.run(crowd())
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.error["code"] == "queue_full"
    assert served.post({"dataframe_split": ROW}).status == 200


def test_one_bad_request_does_not_harm_its_neighbours(flights):
    async def crowd():
        good = {"dataframe_split": ROW}
        bad = {"dataframe_split": {**ROW, "data": [[None, 7, "AA"]]}}
        bodies = [good, bad] * 10
        return await asyncio.gather(
            *(flights.request("POST", "/invocations", body, "application/json", flights.auth) for body in bodies)
        )

    assert [answer.status for answer in flights.run(crowd())] == [200, 422] * 10
