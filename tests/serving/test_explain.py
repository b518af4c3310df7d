"""``/explain`` at an application: the contributions of a linear pipeline, held against what is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.core.errors import InvalidInput
from nbmlops.core.workspace import Workspace
from nbmlops.explanation import Subject
from nbmlops.explanation.additive import additive
from nbmlops.packaging import attest, build_bundle, read_bundle
from nbmlops.registry.signature import columns_of
from nbmlops.testing.models import OneVersion
from tests.serving.conftest import Served


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "hour": rng.integers(0, 24, 200),
            "distance": rng.integers(80, 3000, 200).astype(float),
            "carrier": rng.choice(["AA", "DL", "UA"], 200),
            "weekend": rng.random(200) < 0.3,
        }
    )
    frame.loc[::7, "distance"] = np.nan
    return frame


@pytest.fixture(scope="module")
def late(rows: pd.DataFrame) -> np.ndarray:
    return ((rows.hour + 4 * (rows.carrier == "UA")) > 14).to_numpy().astype(int)


def pipeline(last: Any) -> Pipeline:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier", "weekend"]),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["hour", "distance"]),
    )
    return make_pipeline(columns, last)


@pytest.fixture(scope="module")
def model(rows: pd.DataFrame, late: np.ndarray) -> Pipeline:
    return pipeline(LogisticRegression(max_iter=500)).fit(rows, late)


@pytest.fixture(scope="module")
def bundle(model: Pipeline, rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the pipeline itself, without anything that explains it."""
    root, folder = tmp_path_factory.mktemp("explained"), tmp_path_factory.mktemp("model")
    (root / ".nbmlops").mkdir()
    flavor = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {}, "sklearn": flavor}}))
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    label = {"name": "prediction", "type": "long", "required": True, "nullable": False}
    facts = {"inputs": columns_of(rows), "outputs": [label], "task": "classification", "classes": [0, 1]}
    version = OneVersion(folder, facts | {"example": None})
    return build_bundle(version, "flights", workspace=Workspace.find(root).open()).path


@pytest.fixture
def stated(bundle: Path, model: Pipeline, rows: pd.DataFrame) -> Iterator[Path]:
    """The same bundle, with a statement beside it."""
    attest(read_bundle(bundle), "explanation", additive(Subject(model, rows, rows, classes=(0, 1))))
    yield bundle
    (bundle.with_name(f"{bundle.name}.attestations") / "explanation.json").unlink()


def body(rows: pd.DataFrame) -> dict[str, Any]:
    return {"dataframe_records": json.loads(rows.to_json(orient="records", double_precision=15))}


def ask(served: Served, document: Any, **headers: str) -> Any:
    return served.run(served.request("POST", "/explain", document, "application/json", headers))


def test_contributions_add_up_to_the_models_log_odds(
    served: Served, stated: Path, model: Pipeline, rows: pd.DataFrame
) -> None:
    served.configure(("1", stated, 100), explain=True)
    some = rows.head(8)
    answer = ask(served, body(some))
    assert answer.status == 200, answer.body
    assert (answer.json["scale"], answer.json["outputs"]) == ("log-odds", ["1"])
    found = answer.json["explanations"]
    sums = [one["base"] + sum(one["contributions"].values()) for one in found]
    np.testing.assert_allclose(sums, model.decision_function(some), atol=1e-6)
    assert [one["prediction"] for one in found] == model.predict(some).tolist()
    assert set(found[0]["contributions"]) == set(rows.columns)
    assert [one["id"] for one in found] == [f"{answer.headers['x-prediction-id']}:{row}" for row in range(8)]
    assert max(one["residual"] for one in found) <= 1e-6


def test_it_is_off_unless_it_is_asked_for(served: Served, stated: Path, rows: pd.DataFrame) -> None:
    served.configure(("1", stated, 100))
    assert ask(served, body(rows.head(1))).error["code"] == "not_found"
    assert "/explain" not in served.get("/openapi.json").json["paths"]
    served.configure(("1", stated, 100), explain=True)
    told = served.get("/openapi.json").json["paths"]["/explain"]["post"]
    assert "409" in told["responses"]


def test_it_asks_for_the_token_and_takes_what_invocations_takes(
    served: Served, stated: Path, rows: pd.DataFrame
) -> None:
    served.configure(("1", stated, 100), token="secret", explain=True)
    assert ask(served, body(rows.head(1))).status == 401
    token = {"authorization": "Bearer secret"}
    assert ask(served, body(rows.head(1)), **token).status == 200
    assert ask(served, {"dataframe_records": [{"hour": "x"}]}, **token).status == 422


def test_without_a_statement_nothing_is_explained(served: Served, bundle: Path, rows: pd.DataFrame) -> None:
    served.configure(("1", bundle, 100), explain=True)
    answer = ask(served, body(rows.head(1)))
    assert (answer.status, answer.error["code"]) == (409, "not_explainable")


def test_contributions_that_lead_elsewhere_are_not_given(
    served: Served, bundle: Path, stated: Path, model: Pipeline, rows: pd.DataFrame
) -> None:
    wrong = additive(Subject(model, rows, rows, classes=(0, 1)))
    wrong["base"] = [wrong["base"][0] + 1e-3]
    attest(read_bundle(bundle), "explanation", wrong)
    served.configure(("1", stated, 100), explain=True)
    answer = ask(served, body(rows.head(1)))
    assert (answer.status, answer.error["code"]) == (409, "explanation_differs")
    assert b'contributions"' not in answer.body


def test_explaining_is_no_traffic(served: Served, stated: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    served.configure(("1", stated, 100), explain=True, capture={"folder": str(tmp_path / "kept")})
    assert ask(served, body(rows.head(1))).status == 200
    arm = served.application.router.arms["1"]
    assert arm.observations.requests == 0
    served.application.notes.close()
    assert not list((tmp_path / "kept").rglob("*.spool"))


@pytest.mark.parametrize(
    ("last", "target"), [(Ridge(), "hour"), (PoissonRegressor(), "hour"), (LogisticRegression(), "carrier")]
)
def test_other_linear_models_add_up_too(last: Any, target: str, rows: pd.DataFrame) -> None:
    fitted = pipeline(last).fit(rows, rows[target])
    classes = tuple(getattr(fitted, "classes_", ()))
    found = additive(Subject(fitted, rows, rows, classes=classes))
    assert [term["name"] for term in found["terms"]] == list(rows.columns)
    assert found["terms"][1]["missing"] is not None
    assert set(found["terms"][2]["levels"]) == {"AA", "DL", "UA"}
    assert found["link"] == {"Ridge": "identity", "PoissonRegressor": "exp"}.get(type(last).__name__, "softmax")


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (RandomForestClassifier(3), "can't be explained cheaply"),
        (make_pipeline(PCA(3), LogisticRegression()), "can't be explained cheaply"),
        (RidgeClassifier(), "no probabilities"),
    ],
    ids=["trees", "components", "no probabilities"],
)
def test_what_does_not_add_up_by_column_is_refused(last: Any, says: str, rows: pd.DataFrame, late: np.ndarray) -> None:
    fitted = pipeline(last).fit(rows, late)
    with pytest.raises(InvalidInput, match=says):
        additive(Subject(fitted, rows, rows, classes=(0, 1)))
