"""Shadows, ensembles and shares through the verbs and the real server."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.pipeline import Pipeline

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.govern import at, history
from nbmlops.workflows.models import delete_model
from nbmlops.workflows.operate import endpoint, endpoints, rollback, traffic
from nbmlops.workflows.session import Session

pytestmark = pytest.mark.integration
ENSEMBLE = "flights-1x3+flights-2x1"


def test_an_ensemble_answers_the_weighted_mean_and_is_one_arm(
    two: Session, inputs: pd.DataFrame, converting: Pipeline, stubborn: Pipeline
) -> None:
    planned = deploy("flights/1:3+flights/2", plan=True)
    assert {"runtime": "ensemble", "traffic": f"{ENSEMBLE}=100"}.items() <= {
        change.what: change.after for change in planned.changes
    }.items()

    served = deploy("flights/1:3+flights/2:1", combine="mean")

    expected = np.average(
        [converting.predict_proba(inputs), stubborn.predict_proba(inputs)], axis=0, weights=[3.0, 1.0]
    )
    assert np.allclose(served.predict(inputs, output="probabilities"), expected, rtol=0, atol=1e-6)
    assert np.array_equal(served.predict(inputs), converting.classes_[expected.argmax(axis=1)])
    assert (served.model, served.traffic) == ("flights", {ENSEMBLE: 100.0})
    answered = requests.post(
        served.url + "/invocations",
        json={"dataframe_records": [{"hour": 1, "distance": 100.0, "carrier": "AA"}]},
        headers={**served.headers, "x-nbmlops-version": ENSEMBLE},
        timeout=10,
    )
    assert answered.headers["x-nbmlops-version"] == ENSEMBLE

    with pytest.raises(Refused, match="flights/2 can't be deleted: it is deployed at flights"):
        delete_model("flights/2")
    assert any("deployed" in change.what for change in history("flights/2"))
    deploy("flights/1", traffic=50)
    assert traffic("flights", {"1": 100}).before == {ENSEMBLE: 50.0, "1": 50.0}
    assert rollback("flights").traffic == {ENSEMBLE: 50.0, "1": 50.0}
    assert rollback("flights").traffic == {ENSEMBLE: 100.0}


def test_members_that_do_not_fit_are_refused_before_anything_starts(two: Session) -> None:
    with pytest.raises(InvalidInput, match="names a version twice"):
        deploy("flights/1:3+flights/1:1")
    with pytest.raises(InvalidInput, match="can't be combined by 'median'"):
        deploy("flights/1:3+flights/2:1", combine="median")
    assert len(endpoints()) == 0


def test_a_shadow_answers_nobody_and_is_compared(two: Session, inputs: pd.DataFrame, converting: Pipeline) -> None:
    served = deploy("flights/1", capture="off")
    deploy("flights/2", shadow=100)

    for _ in range(3):
        assert np.array_equal(served.predict(inputs), converting.predict(inputs))
    assert (served.traffic, served.versions) == ({"1": 100.0}, ("1", "2"))
    from tests.deployment.conftest import wait_for

    wait_for(lambda: len(served.compare()) and served.compare()["2"].pairs == 3, "three pairs")
    assert "Shadows" in served._show_().text
    assert "shadow v2 100 %" in str(endpoints())
    assert "shadow 2 = 100 %" in at("now")._show_().text

    change = traffic("flights", shadow={"2": 0})
    assert (change.shadows_before, change.shadows, change.traffic) == ({"2": 100.0}, {}, {"1": 100.0})
    assert traffic("flights").traffic == {"1": 100.0}
    assert endpoint("flights").to_dict()["traffic"] == {"1": 100.0}
