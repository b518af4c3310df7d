from __future__ import annotations

import numpy as np
import pytest

from nbmlops.serving.comparison import report
from nbmlops.serving.faultfile import FaultFile
from nbmlops.serving.noting import observed
from nbmlops.serving.outputs import Outputs
from nbmlops.serving.segments import read_segment

from . import bundles

ROW = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def arm(name, path, weight=0.0, **more):
    return {"name": name, "model": "flights", "version": name, "bundle": str(path), "weight": weight, **more}


def captured(folder):
    return [record for path in sorted(folder.glob("*")) for frame in read_segment(path) for record in frame]


def configure(served, *arms, **more):
    served.run(served.control.configure({"endpoint": "flights", "token": None, "arms": list(arms), **more}))


def test_what_was_answered_is_captured_with_what_answered_it(served, made, tmp_path):
    configure(served, arm("1", made("ten"), 1), capture={"folder": str(tmp_path / "c"), "mode": "strict"})
    answer = served.post(ROW, x_nbmlops_key="ann")
    records = captured(tmp_path / "c")
    assert [record.prediction for record in records] == [answer.headers["x-prediction-id"]]
    assert (records[0].version, records[0].answer) == ("1", answer.body)
    assert records[0].key not in ("", "ann")


def test_what_the_caller_got_wrong_is_not_captured(served, made, tmp_path):
    configure(served, arm("1", made("ten"), 1), capture={"folder": str(tmp_path / "c"), "mode": "strict"})
    assert served.post({"dataframe_split": 3}).status == 422
    served.post(ROW)
    assert len(captured(tmp_path / "c")) == 1


def test_a_shadow_sees_copies_and_callers_do_not_see_it(served, made):
    configure(served, arm("1", made("ten"), 1), arm("2", made("twenty"), shadow=100.0))
    answers = [served.post(ROW) for _ in range(30)]
    assert {answer.headers["x-nbmlops-version"] for answer in answers} == {"1"}
    comparison = served.application.notes.shadows.comparisons["2"]
    served.wait(lambda: comparison.pairs == 30)
    told = report(comparison)
    assert (told.agreement, told.difference) == (0.0, pytest.approx(10.0))
    assert {one.prediction for one in told.largest} <= {answer.headers["x-prediction-id"] for answer in answers}


def test_a_shadows_answer_in_binary_is_kept_with_where_its_tensors_begin(served, made, tmp_path):
    capture = {"folder": str(tmp_path / "c"), "mode": "strict"}
    configure(served, arm("1", made("ten"), 1), arm("2", made("twenty"), shadow=100.0), capture=capture)
    tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}
    body = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    answer = served.run(served.request("POST", "/v2/models/flights/versions/1/infer", body, "application/json"))
    assert answer.status == 200, answer.body
    served.wait(lambda: len(captured(tmp_path / "c")) == 2)
    splits = {record.shadow: record.answer_split for record in captured(tmp_path / "c")}
    assert splits[False] == splits[True] + len("1") - len("2") > 0


def test_a_shadow_that_fails_hurts_nobody(served, made, tmp_path):
    broken = bundles.sklearn_bundle(tmp_path / "b", bundles.Raises(), serialization="cloudpickle")
    configure(served, arm("1", made("ten"), 1), arm("2", broken, shadow=100.0))
    assert [served.post(ROW).status for _ in range(3)] == [200, 200, 200]
    comparison = served.application.notes.shadows.comparisons["2"]
    served.wait(lambda: comparison.errors == 3)


def test_a_share_of_the_requests_is_copied(served, made):
    configure(served, arm("1", made("ten"), 1), arm("2", made("twenty"), shadow=50.0))
    for _ in range(200):
        served.post(ROW)
    comparison = served.application.notes.shadows.comparisons["2"]
    served.wait(lambda: served.application.router.arms["2"].in_flight == 0)
    assert 50 < comparison.pairs < 150  # outside once in 10**11


def test_a_kept_shadow_keeps_its_counts(served, made):
    configure(served, arm("1", made("ten"), 1), arm("2", made("twenty"), shadow=100.0))
    served.post(ROW)
    served.wait(lambda: served.application.notes.shadows.comparisons["2"].pairs == 1)
    configure(served, arm("1", made("ten"), 1), arm("2", made("twenty"), shadow=10.0))
    assert served.application.notes.shadows.comparisons["2"].pairs == 1


def test_failures_are_counted_and_kept_with_their_request(served, made, tmp_path):
    broken = bundles.sklearn_bundle(tmp_path / "b", bundles.Raises(), serialization="cloudpickle")
    configure(served, arm("1", broken, 1), errors=str(tmp_path / "errors"))
    flight = {"columns": ["distance", "hour", "carrier"], "data": [[1400.0, 7, "UA"]]}
    answer = served.post({"dataframe_split": flight})
    assert answer.status == 500
    served.application.notes.errors.flush()
    fault = FaultFile(tmp_path / "errors").find(answer.headers["x-prediction-id"])
    assert (fault.code, fault.version, fault.status) == ("model_error", "1", 500)
    assert b'"data"' in fault.body
    observations = served.application.router.arms["1"].observations
    assert (observations.requests, observations.errors) == (1, 1)


def test_what_a_caller_chose_itself_is_no_evidence(served, made):
    configure(served, arm("1", made("ten"), 1), arm("2", made("twenty")))
    assert served.post(ROW, x_nbmlops_version="2").predictions == [21.0]
    served.post(ROW)
    arms = served.application.router.arms
    assert [arms[name].observations.requests for name in ("1", "2")] == [1, 0]


def test_answers_are_observed_whatever_their_form():
    assert observed(Outputs(np.array([1.0]))).tolist() == [1.0]
    assert observed(Outputs(None, np.array([[0.2, 0.8]]))).tolist() == [[0.2, 0.8]]
    assert observed(Outputs(payload=["late", "early"])).tolist() == ["late"]
    assert observed(Outputs(payload={"x": 1})) is None


def test_copies_are_dropped_where_a_shadow_lags(served, made, tmp_path, monkeypatch):
    monkeypatch.setattr("nbmlops.serving.shadows.PENDING", 2)
    slow = bundles.sklearn_bundle(tmp_path / "b", bundles.Sleeps(0.2), serialization="cloudpickle")
    flight = {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[1400.0, 7, "UA"]]}}
    configure(served, arm("1", made("onnx"), 1), arm("2", slow, shadow=100.0))
    for _ in range(10):
        assert served.post(flight).status == 200
    assert served.application.notes.shadows.comparisons["2"].dropped > 0
