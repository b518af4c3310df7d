"""Every kind of model that can be registered and answers, through the real server: as the object itself answers."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from nbmlops.deployment import Endpoint
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.operate import endpoint, endpoints
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
COUNT = 60

HELPER = """
import numpy as np

def chances(frame, centre):
    late = 1 / (1 + np.exp(centre - frame["hour"].to_numpy()))
    return np.column_stack([1 - late, late])
"""
MODEL = """
import numpy as np
from delays_odds import chances

class Delays:
    def __init__(self, centre):
        self.centre = centre

    def predict(self, frame):
        return chances(frame, self.centre)[:, 1] > 0.5

    def predict_proba(self, frame):
        return chances(frame, self.centre)

def times(frame):
    return frame["hour"] * 2.5

def moments(frame):
    when = frame["when"]
    if str(frame["seats"].dtype) != "Int64" or when.dtype.kind != "M":
        raise TypeError(f"seats {frame['seats'].dtype}, when {when.dtype}")
    return np.column_stack([when.dt.hour, frame["seats"].fillna(-1).astype(float), frame["diverted"].astype(float)])
"""
FRESH = """
import json, sys
from nbmlops.workflows.operate import endpoint
assert "delays_model" not in sys.modules
print(json.dumps(endpoint("delays").predict([{"hour": 3}, {"hour": 21}], output="both").to_dict("list")))
"""


@pytest.fixture
def numbers() -> pd.DataFrame:
    """Flights in whole and broken numbers, some of them missing."""
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"hour": rng.integers(0, 24, COUNT), "distance": rng.uniform(80, 3000, COUNT)})
    frame.loc[::7, "distance"] = np.nan
    return frame


@pytest.fixture
def late(numbers: pd.DataFrame) -> np.ndarray:
    return np.where(numbers["hour"] > 12, "late", "on time")


@pytest.fixture
def delays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A project's own module, which imports another one, as a notebook in their folder would."""
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "delays_odds.py").write_text(HELPER)
    (project / "delays_model.py").write_text(MODEL)
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    yield importlib.import_module("delays_model")
    for name in ("delays_model", "delays_odds"):
        sys.modules.pop(name, None)


def agrees(served: Endpoint, model: Any, frame: pd.DataFrame) -> None:
    """Compare labels alone, probabilities alone and both with the object's own."""
    labels, chances = model.predict(frame), model.predict_proba(frame)
    assert served.predict(frame).tolist() == labels.tolist()
    np.testing.assert_allclose(served.predict(frame, output="probabilities"), chances, atol=1e-6)
    both = served.predict(frame, output="both")
    assert both["label"].tolist() == labels.tolist()
    np.testing.assert_allclose(both.iloc[:, 1:].to_numpy(dtype=float), chances, atol=1e-6)


def checked(session: Session) -> dict[str, Any]:
    return dict(session.journal.events("endpoint.deployed")[-1].data["replay"])


def xgboost_classifier() -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=3, max_depth=2, n_jobs=1)


def lightgbm_classifier() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=3, min_child_samples=5, n_jobs=1, verbose=-1)


def test_xgboost_answers_labels_and_probabilities(session: Session, numbers: pd.DataFrame, late: np.ndarray) -> None:
    frame = numbers.assign(seats=pd.array([*range(COUNT - 1), None], dtype="Int64"))
    model = xgboost_classifier().fit(frame, (late == "late").astype(int))
    register_model(model, name="boosted", data=frame)

    agrees(deploy("boosted"), model, frame)
    assert checked(session)["rows"] == COUNT
    assert "labels_alone" not in checked(session)


def test_lightgbm_answers_labels_and_probabilities_on_categories(
    session: Session, numbers: pd.DataFrame, late: np.ndarray
) -> None:
    carriers = np.random.default_rng(5).choice(["AA", "UA", None], COUNT)
    frame = numbers.assign(carrier=pd.Categorical(carriers, categories=["UA", "ZZ", "AA"]))
    model = lightgbm_classifier().fit(frame, late)
    register_model(model, name="light", data=frame)

    agrees(deploy("light"), model, frame)
    assert checked(session)["max_difference"] <= 1e-6


def test_catboost_answers_labels_and_probabilities_on_categories(
    session: Session, numbers: pd.DataFrame, late: np.ndarray
) -> None:
    from catboost import CatBoostClassifier

    frame = numbers.assign(carrier=np.random.default_rng(5).choice(["AA", "UA"], COUNT))
    model = CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False, cat_features=["carrier"])
    model.fit(frame, late)
    registered = register_model(model, name="cat", data=frame)

    agrees(deploy("cat"), model, frame)
    assert (registered.kind, registered.warnings) == ("catboost", ())  # its own format runs no code
    assert checked(session)["max_difference"] <= 1e-6


def test_a_class_of_the_project_is_served_with_the_modules_it_imports(
    session: Session, delays: ModuleType, numbers: pd.DataFrame, tmp_path: Path
) -> None:
    model = delays.Delays(12.5)
    frame = numbers[["hour"]]
    register_model(model, name="delays", data=frame)

    served = deploy("delays")
    agrees(served, model, frame)

    for file in Path(delays.__file__).parent.glob("delays_*.py"):
        file.unlink()  # what is served rests on its own copy
    served.restart()
    fresh = subprocess.run(
        [sys.executable, "-c", FRESH], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    answer = json.loads(fresh.stdout)
    assert answer["label"] == [False, True]
    np.testing.assert_allclose(answer["1"], model.predict_proba(pd.DataFrame({"hour": [3, 21]}))[:, 1])


def test_a_function_with_data_is_checked_and_served(
    session: Session, delays: ModuleType, numbers: pd.DataFrame
) -> None:
    register_model(delays.times, name="times", data=numbers)

    answer = deploy("times").predict(numbers.head(3))

    np.testing.assert_allclose(np.ravel(answer), numbers["hour"].head(3) * 2.5)
    assert checked(session)["rows"] == COUNT


@pytest.fixture
def graph(numbers: pd.DataFrame, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """An ONNX file from elsewhere, and rows for it."""
    from skl2onnx import to_onnx

    values = numbers.fillna(0.0).to_numpy(dtype=np.float32)
    model = LogisticRegression(max_iter=500).fit(values / 100, values[:, 0] > 12)
    file = tmp_path / "late.onnx"
    file.write_bytes(to_onnx(model, values[:1], options={"zipmap": False}).SerializeToString())
    return file, values


def graph_answers(file: Path, values: np.ndarray) -> list[Any]:
    import onnxruntime

    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"X": values})


def test_an_onnx_file_answers_as_its_graph(session: Session, graph: tuple[Path, np.ndarray]) -> None:
    file, values = graph
    register_model(file, name="graph")

    answer = deploy("graph").predict(values)

    labels, chances = graph_answers(file, values)
    np.testing.assert_array_equal(answer["label"], labels)
    np.testing.assert_allclose(answer["probabilities"], chances, atol=1e-6)


@pytest.fixture
def everything(numbers: pd.DataFrame) -> pd.DataFrame:
    """A column of each type that a table usually holds."""
    rng = np.random.default_rng(2)
    seats = pd.array(rng.integers(50, 400, COUNT), dtype="Int64")
    seats[::9] = pd.NA
    return numbers.assign(
        seats=seats,
        origin=rng.choice(["EWR", "JFK", "LGA"], COUNT),
        diverted=rng.random(COUNT) < 0.2,
        carrier=pd.Categorical(rng.choice(["AA", "UA"], COUNT), categories=["UA", "AA", "ZZ"]),
        when=pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 3000, COUNT), unit="h"),
    )


def typed_pipeline(moments: Callable[[pd.DataFrame], Any]) -> Pipeline:
    text = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["hour", "distance"]),
            ("text", text, ["origin", "carrier"]),
            ("moments", FunctionTransformer(moments), ["when", "seats", "diverted"]),
        ]
    )
    return make_pipeline(columns, LogisticRegression(C=1e-4, max_iter=5000))


def test_a_column_of_each_type_reaches_the_model_by_json_and_by_csv(
    session: Session, delays: ModuleType, everything: pd.DataFrame, late: np.ndarray
) -> None:
    model = typed_pipeline(delays.moments).fit(everything, late)
    register_model(model, name="typed", data=everything)

    served = deploy("typed")
    agrees(served, model, everything)

    answer = requests.post(
        f"{served.url}/invocations",
        data=everything.to_csv(index=False),
        headers={**served.headers, "Content-Type": "text/csv"},
        timeout=10,
    )
    assert answer.json() == {"predictions": model.predict(everything).tolist()}


def test_a_plain_object_gets_the_dtypes_of_its_data(session: Session, everything: pd.DataFrame) -> None:
    dtypes = {name: str(dtype) for name, dtype in everything.dtypes.items()}

    class Strict:
        def predict(self, frame):
            found = {name: str(dtype) for name, dtype in frame.dtypes.items()}
            if found != dtypes:
                raise TypeError(f"{found}, not {dtypes}")
            return frame["hour"].to_numpy()

    filled = everything.assign(seats=everything["seats"].fillna(7))
    register_model(Strict(), name="strict", data=filled)

    seen = prepare(session, session.registry.version("strict")).replay
    assert (seen["rows"], seen["max_difference"]) == (COUNT, 0)


def test_what_the_command_line_deploys_is_found_here_and_taken_down_there(
    session: Session, graph: tuple[Path, np.ndarray]
) -> None:
    file, values = graph
    register_model(file, name="graph")

    command("deploy", "graph", "--endpoint", "late")
    served = endpoint("late")
    url = served.url
    np.testing.assert_array_equal(served.predict(values)["label"], graph_answers(file, values)[0])
    command("undeploy", "late")

    assert len(endpoints()) == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/ping", timeout=2)


def command(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbmlops.cli", *words],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
