"""Each kind of object registers, comes back, and is loaded by MLflow alone in a fresh process."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from nbmlops.capture import Captured, capture
from nbmlops.core import digests
from nbmlops.core.errors import InvalidObject, Untrusted
from nbmlops.registry import Registration, Registry
from tests.registry.conftest import Fitted, open_registry

ROWS = 60


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "hour": generator.integers(0, 24, ROWS),
            "wind": generator.normal(size=ROWS),
            "carrier": generator.choice(["AA", "UA", "DL"], ROWS),
            "late": generator.integers(0, 2, ROWS),
        }
    )


@pytest.fixture(scope="module")
def captured(flights: pd.DataFrame) -> Captured:
    return capture(None, flights)


NUMBERS = ["hour", "wind"]


def pipeline(data: pd.DataFrame) -> Any:
    columns = ColumnTransformer([("n", StandardScaler(), NUMBERS), ("c", OneHotEncoder(), ["carrier"])])
    model = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=5))
    return model.fit(data.drop(columns="late"), data["late"])


def xgb_in_pipeline(data: pd.DataFrame) -> Any:
    return make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=3)).fit(data[NUMBERS], data["late"])


class Threshold:
    """A user's own class with a predict."""

    def __init__(self, at: float) -> None:
        self.at = at

    def predict(self, rows: Any) -> Any:
        return (rows["wind"] > self.at).astype(int).to_numpy()


def own_function(rows: Any) -> Any:
    return rows["wind"].to_numpy() * 2


for defined in (Threshold, own_function, Threshold.predict, Threshold.__init__):
    defined.__module__ = "__main__"  # as in a notebook: stored whole, whatever can be imported

MODELS: dict[str, tuple[str, Callable[[pd.DataFrame], Any]]] = {
    "pipeline": ("sklearn", pipeline),
    "forest": ("sklearn", lambda d: RandomForestRegressor(5).fit(d[NUMBERS], d["wind"])),
    "xgb_in_pipeline": ("sklearn", xgb_in_pipeline),
    "xgboost": ("xgboost", lambda d: xgboost.XGBClassifier(n_estimators=3).fit(d[NUMBERS], d["late"])),
    "lightgbm": ("lightgbm", lambda d: lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(d[NUMBERS], d["late"])),
    "catboost": (
        "catboost",
        lambda d: catboost.CatBoostClassifier(iterations=3, verbose=False, allow_writing_files=False).fit(
            d[NUMBERS], d["late"]
        ),
    ),
    "object": ("python", lambda d: Threshold(0.1)),
    "function": ("function", lambda d: own_function),
}

LOAD = """
import sys
sys.modules["nbmlops"] = None  # importing it fails
import mlflow, pandas as pd, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
for name in sys.argv[3:]:
    rows = pd.read_parquet(f"{sys.argv[2]}/{name}.parquet")
    answers = mlflow.pyfunc.load_model(f"models:/{name}/1").predict(rows)
    np.save(f"{sys.argv[2]}/{name}.npy", np.asarray(answers))
"""


def load_with_mlflow_alone(uri: str, folder: Path, *names: str) -> None:
    """Let a fresh process, which can't import nbmlops, answer ``NAME.parquet`` with ``NAME.npy``."""
    command = [sys.executable, "-c", LOAD, uri, str(folder), *names]
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory, flights: pd.DataFrame, captured: Captured) -> Registry:
    """A registry with one model of each kind, each answered by MLflow alone too."""
    folder = tmp_path_factory.mktemp("kinds")
    registry = open_registry(folder)
    for name, (_, fit) in MODELS.items():
        data = flights if name in ("pipeline", "object", "function") else flights[[*NUMBERS, "late"]]
        registry.register(fit(flights), Registration(name, captured, data=data, label="late"))
        reference = registry.reference(name)
        assert reference is not None
        reference.inputs.to_parquet(folder / f"{name}.parquet")
    load_with_mlflow_alone(registry.workspace.tracking_uri, folder, *MODELS)
    return registry


@pytest.mark.integration
@pytest.mark.parametrize("which", MODELS)
def test_it_comes_back_and_mlflow_alone_loads_it(which: str, all_kinds: Registry) -> None:
    assert all_kinds.version(which).kind == MODELS[which][0]
    reference = all_kinds.reference(which)
    assert reference is not None
    loaded = all_kinds.load(which)  # MLflow's own file, left in the folder by the other process, is no change
    again = loaded.predict(reference.inputs) if hasattr(loaded, "predict") else loaded(reference.inputs)
    np.testing.assert_array_equal(again, reference.predictions)
    np.testing.assert_array_equal(np.load(all_kinds.workspace.root / f"{which}.npy"), reference.predictions)


def test_library_types_are_stored_with_skops_and_own_code_with_a_notice(
    registry: Registry, flights: pd.DataFrame, captured: Captured
) -> None:
    plain = registry.register(pipeline(flights), Registration("plain", captured, data=flights, label="late"))
    assert (registry.model_folder("plain") / "model.skops").exists()
    assert plain.warnings == ()
    own = make_pipeline(FunctionTransformer(own_step), LogisticRegression()).fit(flights[NUMBERS], flights["late"])
    made = registry.register(own, Registration("own", captured, data=flights, label="late"))
    assert (registry.model_folder("own") / "model.pkl").exists()
    assert "your own code" in made.warnings[-1]
    assert "own_step" in made.warnings[-1]
    np.testing.assert_array_equal(registry.load("own").predict(flights[NUMBERS]), own.predict(flights[NUMBERS]))


def own_step(rows: Any) -> Any:
    return rows * 2


def test_requirements_are_exact_pins(registry: Registry, fitted: Fitted) -> None:
    registry.register(fitted.model, fitted.registration("flights"))
    lines = (registry.model_folder("flights") / "requirements.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in lines if "==" in line}
    assert {"scikit-learn", "skops", "mlflow"} <= names
    assert not {"pytest", "IPython", "ipython", "ipykernel", "jupyterlab", "matplotlib"} & names
    captured = {package["name"] for package in registry.captured("flights")["environment"]["packages"]}
    assert {"scikit-learn", "pandas"} <= captured
    assert all("==" in line or "@" in line or line.startswith("-e") for line in lines)


LOCAL = """
import numpy as np

class Ours:
    def predict(self, rows):
        return np.full(len(rows), helper())

def helper():
    return 7
"""


@pytest.mark.integration
def test_modules_of_the_project_are_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("")
    (project / "our_model.py").write_text(LOCAL)
    script = """
        from nbmlops.capture import capture
        from nbmlops.core.workspace import Workspace
        from nbmlops.journal import Journal
        from nbmlops.registry import Registration, Registry
        import our_model, pandas as pd
        workspace = Workspace.find().open()
        model, data = our_model.Ours(), pd.DataFrame({"a": [1.0, 2.0]})
        registry = Registry(workspace, Journal.open(workspace))
        registry.register(model, Registration("ours", capture(model, data, root=workspace.root), data=data))
        print(workspace.tracking_uri, end="")
    """
    run = [sys.executable, "-c", textwrap.dedent(script)]
    uri = subprocess.run(run, check=True, cwd=project, capture_output=True, text=True, timeout=120).stdout
    (project / "our_model.py").unlink()
    pd.DataFrame({"a": [1.0, 2.0, 3.0]}).to_parquet(tmp_path / "ours.parquet")
    load_with_mlflow_alone(uri, tmp_path, "ours")
    assert np.load(tmp_path / "ours.npy").tolist() == [7, 7, 7]


def onnx_file(folder: Path) -> Path:
    from skl2onnx import to_onnx

    rows = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    path = folder / "flights.onnx"
    path.write_bytes(to_onnx(model, rows[:1], options={"zipmap": False}).SerializeToString())
    return path


def test_an_onnx_file_is_a_model_and_comes_back(registry: Registry, captured: Captured, tmp_path: Path) -> None:
    path = onnx_file(tmp_path)
    made = registry.register(path, Registration("flights", captured))
    assert (made.kind, made.environment_id) == ("onnx", "")
    assert registry.signature("flights")["inputs"] == {"tensor": {"dtype": "float32", "shape": [-1, 2]}}
    back = registry.download("flights", tmp_path / "back")
    assert digests.tree(back) == {"flights.onnx": digests.of_file(path)}
    assert registry.load("flights").graph.name


def test_a_file_that_only_says_it_is_onnx_is_refused(registry: Registry, captured: Captured, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no protobuf at all")
    with pytest.raises(InvalidObject, match=r"broken\.onnx is no ONNX model"):
        registry.register(tmp_path / "broken.onnx", Registration("flights", captured))
    assert registry.names() == []


class Bomb:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_a_foreign_pickle_is_kept_without_being_unpickled(
    registry: Registry, captured: Captured, tmp_path: Path
) -> None:
    mark, source = tmp_path / "exploded", tmp_path / "model.pkl"
    source.write_bytes(pickle.dumps(Bomb(mark)))
    made = registry.register(source, Registration("foreign", captured))
    assert made.warnings == (
        "trained elsewhere: provenance external, environment and data unknown",
        "kept unopened: register it with --trust to serve it",
    )
    with pytest.raises(Untrusted, match=r"model\.pkl is a pickle that was made elsewhere.*--trust"):
        registry.load("foreign")
    assert digests.tree(registry.download("foreign", tmp_path / "back")) == {"model.pkl": digests.of_file(source)}
    assert not mark.exists()
    registry.load("foreign", trust=True)
    assert mark.exists()


def test_data_that_was_given_is_not_called_unknown(registry: Registry, fitted: Fitted, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a b c")
    made = registry.register(tmp_path / "words.txt", fitted.registration("words"))
    assert made.warnings == ("trained elsewhere: provenance external, environment unknown",)


@pytest.mark.parametrize("which", ["pipeline", "object", "function", "array"])
def test_registering_says_nothing_beside_its_answer(
    which: str, registry: Registry, flights: pd.DataFrame, captured: Captured
) -> None:
    data = flights[[*NUMBERS, "late"]] if which == "array" else flights
    fitted_on_array = LogisticRegression().fit(flights[NUMBERS].to_numpy(), flights["late"])
    model = fitted_on_array if which == "array" else MODELS[which][1](flights)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        registry.register(model, Registration("quiet", captured, data=data, label="late"))
        registry.load("quiet")
    assert [str(one.message) for one in said if issubclass(one.category, UserWarning)] == []


def test_a_trusted_pickle_is_registered_as_what_it_holds(registry: Registry, fitted: Fitted, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted.model))
    made = registry.register(tmp_path / "model.pkl", fitted.registration("flights", trust=True))
    assert made.kind == "sklearn"
    assert registry.reference("flights") is not None


def test_what_another_workspace_registered_needs_trust(
    registry: Registry, fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register(fitted.model, fitted.registration("flights"))
    (registry.workspace.home / "registry.key").unlink()
    with pytest.raises(Untrusted, match="not registered from this workspace"):
        registry.load("flights")
    assert registry.load("flights", trust=True).classes_.tolist() == [0, 1]


def test_assets_travel_with_the_version(registry: Registry, fitted: Fitted, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("late\n")
    registry.register(fitted.model, fitted.registration("flights", assets=(tmp_path / "words.txt",)))
    assert (registry.model_folder("flights") / "assets" / "words.txt").read_text() == "late\n"
