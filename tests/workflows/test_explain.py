"""A version, a row and a prediction explained: from the registry and the kept requests to the report in the run."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from uuid_utils import uuid7

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.explanation import Explanation
from nbmlops.packaging import build_bundle
from nbmlops.serving.configuration import CaptureConfig
from nbmlops.serving.spool import Record, Spool
from nbmlops.workflows.commands import Files, command
from nbmlops.workflows.explain import explain
from nbmlops.workflows.govern import history
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session, current
from nbmlops.workflows.verbs import PYTHON
from tests.workflows.conftest import fitted


@pytest.fixture(scope="module")
def trees(rows: pd.DataFrame) -> Pipeline:
    return fitted(rows, HistGradientBoostingClassifier(max_iter=5))


@pytest.fixture(scope="module")
def flights(
    template: Path, rows: pd.DataFrame, trees: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A session on a workspace with a linear version 1 and trees as version 3, which the tests here add reports to."""
    root = tmp_path_factory.mktemp("explain")
    shutil.copytree(template, root / ".nbmlops")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NBMLOPS_WORKSPACE", str(root))
        register_model(trees, name="flights", data=rows, label="late")
        yield current()


@pytest.fixture(autouse=True)
def _in_its_workspace(flights: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBMLOPS_WORKSPACE", str(flights.workspace.root))


def artifacts(session: Session, reference: str) -> list[str]:
    run = session.registry.version(reference).run_id
    client = session.registry.connection.client
    folders = [one.path for one in client.list_artifacts(run, "nbmlops/explanations")]
    return sorted(file.path for folder in folders for file in client.list_artifacts(run, folder))


def test_a_version_is_explained_on_its_own_sample_and_the_report_kept(flights: Session, tmp_path: Path) -> None:
    found = explain("flights/3", out=tmp_path / "report.html")
    assert (found.model, found.explainer, found.columns) == ("flights/3", "tree", ("hour", "distance", "carrier"))
    assert found.rows == found.rows_given == 400
    assert found.residual <= 1e-6
    kept = artifacts(flights, "flights/3")
    assert any(path.endswith("explanation.html") for path in kept)
    assert any(path.endswith("beeswarm.png") for path in kept)
    assert "explained by tree, 400 rows" in str(history("flights")._show_().text)
    [event] = flights.journal.events("model.explained", "model/flights/3", limit=1)
    assert event.data["contributions"] == found.digest
    assert not {"values", "data"} & set(event.data)
    assert "data:image/png" in (tmp_path / "report.html").read_text()


def test_a_row_of_given_data_has_its_way_to_the_answer(
    flights: Session, rows: pd.DataFrame, converting: Pipeline
) -> None:
    found = explain("flights/1", data=rows, row=123, rows=50)  # the label column is left out
    assert (found.rows, found.rows_given, found.row) == (50, 400, 123)
    assert found.data.iloc[found.place()]["hour"] == rows.hour[123]
    total = found.base_values + sum(found.contributions().values())
    assert total == pytest.approx(converting.decision_function(rows.iloc[[123]])[0], abs=1e-9)
    assert explain("flights/1", data=rows.drop(columns="late"), rows=5).rows == 5


def spooled(session: Session, version: str, body: bytes, *, answer: bytes = b"") -> str:
    """Put a captured request into the spool of an endpoint, as its scorer does, and return its id."""
    bundle = build_bundle(session.registry, f"flights/{version}", workspace=session.workspace)
    record = Record(
        str(uuid7()),
        time.time_ns(),
        arm=version,
        version=version,
        bundle=bundle.digest,
        wire="mlflow",
        kind="application/json",
        body=body,
        answer=answer,
        latency_s=0.001,
        status=200,
    )
    spool = Spool(CaptureConfig(str(session.workspace.collected / "flights")), "flights")
    assert spool.add(record)
    spool.close()
    return record.prediction


def test_a_prediction_is_explained_from_what_was_captured(
    flights: Session, rows: pd.DataFrame, trees: Pipeline
) -> None:
    asked = rows.drop(columns="late").iloc[[23, 40]]  # the first lacks its distance
    records = json.loads(asked.to_json(orient="records"))
    labels = trees.predict(asked).tolist()
    prediction = spooled(
        flights,
        "3",
        json.dumps({"dataframe_records": records}).encode(),
        answer=json.dumps({"predictions": labels}).encode(),
    )
    before = len(artifacts(flights, "flights/3"))
    for row in (0, 1):
        found = explain(prediction=f"{prediction}:{row}")
        assert (found.model, found.rows, found.prediction) == ("flights/3", 1, f"{prediction}:{row}")
        total = found.base_values + sum(found.contributions().values())
        assert 1 / (1 + np.exp(-total)) == pytest.approx(trees.predict_proba(asked)[row, 1], abs=1e-6)
        assert found.answered == str(labels[row])
    assert f"Explanation of {prediction}:1" in found._show_().text
    assert len(artifacts(flights, "flights/3")) == before  # a caller's row stays out of the run
    with pytest.raises(NotFound, match="has no row 7"):
        explain(prediction=f"{prediction}:7")
    with pytest.raises(InvalidInput, match="flights/3 answered"):
        explain("flights/1", prediction=prediction)


def test_the_line_says_the_same(flights: Session, rows: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows.to_csv(path)
    app = command(PYTHON["explain"], Files())
    found = app.main(f"flights/1 --data {path} --row 3 --rows 20".split(), standalone_mode=False)
    assert isinstance(found, Explanation)
    assert (found.row, found.rows) == (3, 20)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "nothing says what to explain"),
        ({"prediction": "x", "data": "y"}, "has its own rows"),
        ({"ref": "flights/1", "rows": 0}, "rows is 0"),
        ({"ref": "flights/1", "out": "report.pdf"}, r"an \.html file"),
        ({"ref": "flights/1", "row": 400}, "no row 400.*0 to 399"),
    ],
)
def test_what_can_not_be_meant_is_refused(asked: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        explain(**asked)  # type: ignore[arg-type]


def test_linear_models_and_trees_need_no_shap(flights: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)  # an import of it fails
    assert explain("flights/1", rows=10).refused == ()
    assert explain("flights/3", rows=10).refused == ()
