"""The endpoint as a person uses it, over real HTTP; and the replay that deploying rests on."""

from __future__ import annotations

import json
import shlex
import subprocess
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from nbmlops.core.errors import EndpointError, InvalidInput, ScoringError
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import LocalTarget, endpoint, replay, trial
from nbmlops.journal import Journal
from nbmlops.packaging import read_bundle
from nbmlops.registry import Reference
from nbmlops.testing.models import offset_onnx, offset_pickled, pickled
from tests.deployment.conftest import deploy, started_from_here, wait_for

pytestmark = pytest.mark.integration
ROWS = pd.DataFrame({"x": [1.0, 2.5]})


def test_predict_gives_what_the_models_predict_gives(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(target, offset_onnx(workspace, "1", 10.0), replace(offset_onnx(workspace, "2", 20.0), weight=0.0))
    one = endpoint(workspace, journal, "flights")
    np.testing.assert_array_equal(one.predict(ROWS), [11.0, 12.5])
    np.testing.assert_array_equal(one.predict(ROWS.to_numpy()), [11.0, 12.5])
    np.testing.assert_array_equal(one.predict([{"x": 1.0}], version=2), [21.0])
    many = one.predict(pd.DataFrame({"x": np.arange(2500.0)}))
    np.testing.assert_array_equal(many, np.arange(2500.0) + 10)
    assert one.live().requests == 6


def test_what_the_server_refuses_is_said_with_its_field(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(target, offset_onnx(workspace, "1", 10.0))
    one = endpoint(workspace, journal, "flights")
    with pytest.raises(ScoringError, match=r"no column 'y'.*Expected the columns x") as caught:
        one.predict(pd.DataFrame({"y": [1.0]}))
    assert (caught.value.status, caught.value.code) == (422, "invalid_input")
    with pytest.raises(ScoringError, match="no probabilities"):
        one.predict(ROWS, output="probabilities")
    with pytest.raises(InvalidInput, match=r"version 7 is not at endpoint 'flights'\. Expected one of 1"):
        one.predict(ROWS, version=7)


def test_what_a_model_raises_comes_back_with_its_traceback_and_no_log_has_it(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    class Raises:
        def predict(self, rows):
            raise RuntimeError(f"the feature store is closed to {rows.iloc[0].to_dict()}")

    deploy(target, pickled(workspace, "1", Raises()))
    one = endpoint(workspace, journal, "flights")
    with pytest.raises(ScoringError) as caught:
        one.predict(ROWS)
    error = caught.value
    assert error.status == 500
    assert "feature store" not in str(error)
    assert "RuntimeError: the feature store is closed to {'x': 1.0}" in error.traceback
    assert 'raise RuntimeError(f"the feature store' in error.traceback
    assert "nbmlops/serving" not in error.traceback
    assert error.traceback in "".join(traceback.format_exception(error))

    [listed] = one.errors()
    assert (listed.prediction, listed.version, listed.code) == (error.prediction_id, "1", "model_error")
    assert listed.exception == "RuntimeError"
    assert listed.line.startswith("test_endpoint.py, line ")
    assert "predict" in listed.line
    assert "nbmlops/serving" in listed.full_traceback
    assert json.loads(listed.request)["dataframe_split"]["columns"] == list(ROWS)
    assert json.loads(listed.answer)["error"]["code"] == "model_error"
    for shown in (repr(one.errors()), one.errors()._repr_html_(), str(one.errors().to_dict()), one.logs()):
        assert "RuntimeError" in shown
        assert "'x': 1.0" not in shown
        assert "dataframe_split" not in shown
    assert f"{error.prediction_id} arm=1 RuntimeError" in one.logs()


def test_one_that_is_down_says_so_and_comes_back(target: LocalTarget, workspace: Workspace, journal: Journal) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0))
    psutil.Process(status.pid).kill()
    one = endpoint(workspace, journal, "flights")
    wait_for(lambda: one.status == "down", "its end")
    with pytest.raises(EndpointError, match=r"flights' is down: .* Restart it with \.restart\(\)"):
        one.predict(ROWS)
    assert "brings it back" in one._repr_html_()
    np.testing.assert_array_equal(one.restart().predict(ROWS), [11.0, 12.5])
    assert one.url == status.url


def test_the_curl_line_works_and_shows_no_token(
    target: LocalTarget, workspace: Workspace, journal: Journal, tmp_path: Path
) -> None:
    deploy(target, offset_onnx(workspace, "1", 10.0))
    one = endpoint(workspace, journal, "flights")
    card = one._show_()
    line = str(card.note)
    assert target.token("flights") not in card.html + card.text
    (tmp_path / "rows.json").write_text('{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}')
    shell = subprocess.run(["sh", "-c", f"{line} --silent"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shell.stdout == '{"predictions":[11.0]}', shlex.quote(line)


def test_without_authentication_there_is_no_header(target: LocalTarget, workspace: Workspace, journal: Journal) -> None:
    deploy(target, offset_onnx(workspace, "1", 10.0), auth=False)
    one = endpoint(workspace, journal, "flights")
    assert one.headers == {}
    np.testing.assert_array_equal(one.predict(ROWS), [11.0, 12.5])
    assert "Authorization" not in str(one._show_().note)


def reference(inputs: pd.DataFrame, predictions) -> Reference:
    return Reference(inputs, np.asarray(predictions), None, None)


@pytest.mark.parametrize("make", [offset_onnx, offset_pickled])
def test_a_replay_compares_every_row(target: LocalTarget, workspace: Workspace, make) -> None:
    rows = pd.DataFrame({"x": np.linspace(-5, 5, 1501)})
    bundle = read_bundle(make(workspace, "1", 10.0).bundle)
    seen = replay(bundle, reference(rows, rows["x"] + 10))
    assert (seen.rows, seen.left_out, seen.fidelity.agrees) == (1501, 0, True)
    wrong = replay(bundle, reference(rows, np.where(rows.index == 700, 0.0, rows["x"] + 10)))
    assert (wrong.fidelity.labels_different, wrong.fidelity.worst) == (1, (700,))


def test_what_a_model_raises_on_its_own_sample_comes_back_too(target: LocalTarget, workspace: Workspace) -> None:
    class Raises:
        def predict(self, rows):
            raise KeyError("the vocabulary")

    with pytest.raises(ScoringError, match="the model raised KeyError") as caught:
        replay(read_bundle(pickled(workspace, "1", Raises()).bundle), reference(ROWS, ROWS["x"]))
    assert 'raise KeyError("the vocabulary")' in str(caught.value.__cause__)


def test_rows_that_can_not_be_sent_are_counted(target: LocalTarget, workspace: Workspace) -> None:
    bundle = read_bundle(offset_onnx(workspace, "1", 10.0).bundle)
    seen = replay(bundle, reference(pd.DataFrame({"x": [1.0, np.inf]}), [11.0, np.inf]))
    assert (seen.rows, seen.left_out, seen.fidelity.agrees) == (1, 1, True)
    with pytest.raises(InvalidInput, match="no row that can be sent"):
        replay(bundle, reference(pd.DataFrame({"x": [np.inf]}), [np.inf]))


def test_labels_alone_are_compared_where_the_server_has_no_probabilities_and_the_card_says_so(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    arm = offset_onnx(workspace, "1", 10.0)
    fitted = replace(reference(ROWS, ROWS["x"] + 10), probabilities=np.array([[0.1, 0.9], [0.8, 0.2]]))
    seen = replay(read_bundle(arm.bundle), fitted)
    assert (seen.labels_alone, seen.fidelity.agrees) == (True, True)

    deploy(target, arm)
    about = {"rows": 2, "max_difference": 0.0, "labels_alone": True}
    journal.append("endpoint.deployed", "endpoint/flights", {"endpoint": "flights", "version": "1", "replay": about})
    card = endpoint(workspace, journal, "flights")._show_()
    assert "every label equal" in card.fields["checked"]
    assert "probabilities can't be served" in card.fields["checked"]


def test_a_trial_ends_with_its_block_also_by_an_error(target: LocalTarget, workspace: Workspace) -> None:
    bundles = [offset_onnx(workspace, "1", 10.0).bundle, offset_pickled(workspace, "2", 20.0).bundle]

    def interrupted() -> None:
        with trial(bundles) as running:
            assert len(running.pids) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started_from_here() == []
