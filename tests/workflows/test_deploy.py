"""Deploy, look, change and take down, through the verbs and the real server."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from nbmlops.core.errors import InvalidInput, InvalidObject, NotFound, Refused, ScoringError
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.models import delete_model, models
from nbmlops.workflows.operate import down, endpoint, endpoints, rollback, traffic, undeploy
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.profile import profile
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session

from .conftest import fitted

pytestmark = pytest.mark.integration


class Coin:
    """A model whose answers depend on chance."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return np.random.default_rng().normal(size=len(frame))


def test_from_a_fitted_model_to_an_answer_and_back(
    session: Session, rows: pd.DataFrame, inputs: pd.DataFrame, converting: Pipeline
) -> None:
    register_model(converting, name="flights", data=rows, label="late")
    first = deploy("flights/1")

    answer = requests.post(
        first.url + "/invocations",
        json={
            "dataframe_split": {
                "columns": list(inputs),
                "data": inputs.astype(object).where(inputs.notna(), None).values.tolist(),
            }
        },
        headers=first.headers,
        timeout=10,
    )
    assert answer.json()["predictions"] == converting.predict(inputs).tolist()
    done = session.journal.events("endpoint.deployed")[-1].data
    assert done["arms"][0]["runtime"] == "onnx"
    assert done["replay"]["rows"] == 400
    assert done["replay"]["labels_different"] == 0
    assert [(one.reference, one.health) for one in models() if one.deployed_at] == [("flights/1", "healthy")]


def test_what_does_not_convert_is_served_by_its_own_runtime_and_says_why(
    two: Session, inputs: pd.DataFrame, stubborn: Pipeline
) -> None:
    served = deploy("flights/2")

    assert np.array_equal(served.predict(inputs), stubborn.predict(inputs))
    arm = two.journal.events("endpoint.deployed")[-1].data["arms"][0]
    assert arm["runtime"] == "sklearn"
    assert "convert" in arm["why"]


def test_a_conversion_that_answers_differently_is_never_served(
    session: Session, rows: pd.DataFrame, inputs: pd.DataFrame
) -> None:
    """skl2onnx converts a calibrated pipeline without complaint, and its probabilities are wrong by up to a half."""
    model = fitted(rows, CalibratedClassifierCV(Pipeline([("last", LogisticRegression(max_iter=2000))]), cv=3))
    register_model(model, name="calibrated", data=rows, label="late")

    served = deploy("calibrated")

    assert session.journal.events("endpoint.deployed")[-1].data["arms"][0]["runtime"] == "sklearn"
    assert np.array_equal(served.predict(inputs), model.predict(inputs))


def test_a_model_whose_answers_change_is_refused(session: Session, rows: pd.DataFrame) -> None:
    register_model(Coin(), name="coin", data=rows.drop(columns="late"))

    with pytest.raises(Refused, match="answers differently when it is served"):
        deploy("coin")
    assert len(endpoints()) == 0


def everything_agrees(session: Session, name: str, *, rows: int) -> bool:
    """Tell whether every row, through the server that a deploy would start, got the fitted object's answer."""
    seen = prepare(session, session.registry.version(name)).replay
    return (seen["rows"], seen["labels_different"]) == (rows, 0) and seen["max_difference"] <= seen["tolerance"]


def test_categories_and_masked_integers_reach_the_model_as_it_was_fitted(session: Session) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "carrier": pd.Categorical(rng.choice(["AA", "UA", None], 300), categories=["UA", "AA", "ZZ"]),
            "seats": pd.array(rng.integers(0, 9, 300), dtype="Int64"),
        }
    )
    frame.loc[::11, "seats"] = pd.NA
    late = (frame["carrier"] == "UA").to_numpy() ^ (rng.random(300) < 0.1)
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=5).fit(frame, late)
    register_model(model, name="typed", data=frame)

    assert everything_agrees(session, "typed", rows=300)


def test_missing_values_of_an_array_reach_the_model(session: Session) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = np.random.default_rng(3).normal(size=(300, 3))
    rows[::7, 1] = np.nan
    model = HistGradientBoostingRegressor(max_iter=5).fit(rows, rows[:, 0])
    register_model(model, name="array", data=rows)

    assert everything_agrees(session, "array", rows=300)


def test_a_function_without_data_is_served_unchecked(session: Session) -> None:
    def double(frame):
        return frame["x"] * 2

    register_model(double, name="double")

    assert deploy("double").predict(pd.DataFrame({"x": [1, 2]}))["x"].tolist() == [2, 4]


def test_files_can_not_be_deployed(session: Session, tmp_path) -> None:
    (tmp_path / "words.txt").write_text("a\n")
    register_model(tmp_path / "words.txt", name="words")

    with pytest.raises(InvalidObject, match="plain files"):
        deploy("words")


def test_the_choice_of_a_runtime_is_made_once(two: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    version = two.registry.version("flights/1")
    first = prepare(two, version)

    def never(*arguments: object) -> None:
        raise AssertionError("replayed again")

    monkeypatch.setattr("nbmlops.deployment.replay", never)
    assert prepare(two, version) == first


def test_a_plan_shows_and_changes_nothing(two: Session) -> None:
    planned = deploy("flights/1", plan=True)

    assert {"endpoint", "model version", "traffic", "runtime"} <= {change.what for change in planned.changes}
    assert len(endpoints()) == 0
    assert not two.journal.events("endpoint.*")


def test_a_second_version_takes_over_and_rollback_returns(two: Session, inputs: pd.DataFrame) -> None:
    deploy("flights/1")
    url = endpoint("flights").url
    assert deploy("flights/2").traffic == {"2": 100.0}

    back = rollback("flights", reason="nervous")

    assert back.traffic == {"1": 100.0}
    assert back.url == url
    answered = requests.post(
        url + "/invocations",
        json={"dataframe_records": [{"hour": 1, "distance": 100.0, "carrier": "AA"}]},
        headers=back.headers,
        timeout=10,
    )
    assert answered.headers["x-nbmlops-version"] == "1"
    assert two.journal.events("endpoint.rolled_back")[-1].reason == "nervous"


def test_a_share_of_the_traffic_leaves_the_rest_to_what_serves(two: Session) -> None:
    with pytest.raises(InvalidInput, match="100"):
        deploy("flights/1", traffic=50)
    deploy("flights/1")

    assert deploy("flights/2", traffic=25).traffic == {"1": 75.0, "2": 25.0}
    assert traffic("flights", {"1": 50, "2": 50}).traffic == {"1": 50.0, "2": 50.0}
    with pytest.raises(InvalidInput, match="sum to 90"):
        traffic("flights", {"1": 50, "2": 40})


def test_an_endpoint_serves_one_model(two: Session, converting: Pipeline, rows: pd.DataFrame) -> None:
    register_model(converting, name="other", data=rows, label="late")
    deploy("flights/1")

    with pytest.raises(Refused, match="serves 'flights'"):
        deploy("other", endpoint="flights")


def test_an_unknown_target_names_those_there_are(two: Session) -> None:
    with pytest.raises(NotFound, match="local"):
        deploy("flights/1", target="mars")


def test_what_is_deployed_can_not_be_deleted_and_afterwards_can(two: Session) -> None:
    deploy("flights/1", endpoint="late")

    with pytest.raises(Refused, match="late"):
        delete_model("flights/1")
    refusal = two.journal.events("model.refused")[-1]
    assert refusal.subject == "model/flights/1"
    undeploy("late")
    delete_model("flights/1")

    assert [one.reference for one in models()] == ["flights/2"]


def test_a_wrong_column_is_told_by_name(two: Session, inputs: pd.DataFrame) -> None:
    served = deploy("flights/1")

    with pytest.raises(ScoringError, match="carrier"):
        served.predict(inputs.rename(columns={"carrier": "airline"}))


def test_a_profile_gives_the_next_deploy_its_size(two: Session) -> None:
    report = profile("flights/1", seconds=0.5)
    deploy("flights/1")

    wanted = report.recommendation
    resources = two.journal.events("endpoint.deployed")[-1].data["resources"]
    assert resources["memory_mib"] == wanted.memory_mib
    assert resources["cpu"] == wanted.cores
    deploy("flights/1", memory=wanted.memory_mib + 512)
    assert two.journal.events("endpoint.deployed")[-1].data["resources"]["memory_mib"] == wanted.memory_mib + 512


def test_a_killed_server_is_seen_down_and_comes_back_as_it_was(two: Session, inputs: pd.DataFrame) -> None:
    from nbmlops.deployment import LocalTarget

    served = deploy("flights/1")
    before = served.predict(inputs)
    pid = LocalTarget(two.workspace, two.journal).status("flights").pid
    os.kill(pid, signal.SIGKILL)

    deadline = time.monotonic() + 5
    while endpoint("flights").status != "down":
        assert time.monotonic() < deadline, "not seen down within 5 s"
    assert [one.health for one in models() if one.reference == "flights/1"] == ["down"]

    endpoint("flights").restart()
    again = endpoint("flights")
    assert again.url == served.url
    assert np.array_equal(again.predict(inputs), before)


def test_down_leaves_nothing(two: Session) -> None:
    from nbmlops.deployment import LocalTarget

    url = deploy("flights/1").url
    pid = LocalTarget(two.workspace, two.journal).status("flights").pid

    down(reason="done")

    assert len(endpoints()) == 0
    assert not any(two.workspace.sockets.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/ping", timeout=2)
