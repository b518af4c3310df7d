"""A pipeline in two runtimes behind the real server: its preprocessing from the pickle, its estimator as a graph."""

from __future__ import annotations

from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nbmlops.conversion import OnnxModel
from nbmlops.conversion.outside import OutsideConverter
from nbmlops.conversion.rungs import FLOAT32
from nbmlops.core.errors import ScoringError
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import replay, trial
from nbmlops.deployment.client import score
from nbmlops.packaging import Bundle, build_bundle
from nbmlops.registry import Reference
from nbmlops.registry.signature import columns_of
from nbmlops.testing.models import OneVersion

pytestmark = pytest.mark.integration


def notebook() -> dict[str, object]:
    """Functions as a notebook defines them: of no module that another process could import."""
    cell = """
import numpy as np

def features(frame):
    return frame.assign(log=np.log1p(frame.wind), a=frame.carrier == "A").drop(columns="carrier")

def words(text):
    return text.lower().split()
"""
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(cell, "<cell 1>", "exec"), names)
    return names


def packed(workspace: Workspace, folder: Path, model: Pipeline, *, inputs: list[dict], whole: bool) -> Bundle:
    """Return the bundle of a pipeline that MLflow saved: hybrid, or with all of it in scikit-learn."""
    signature = {"inputs": inputs, "outputs": None, "task": "classification", "classes": [False, True], "example": None}
    flavor = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {"python_function": {}, "sklearn": flavor}}))
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    onnx: OnnxModel | None = None if whole else OutsideConverter("outside", (FLOAT32,)).convert(model, signature)
    return build_bundle(OneVersion(folder, signature), "flights", onnx=onnx, workspace=workspace)


def reference(model: Pipeline, rows: pd.DataFrame | pd.Series) -> Reference:
    frame = rows.to_frame("text") if isinstance(rows, pd.Series) else rows
    return Reference(frame, model.predict(rows), model.predict_proba(rows), [False, True], "sha256:0")


def test_it_answers_over_http_as_the_pipeline_does_and_refuses_what_that_refuses(workspace, tmp_path) -> None:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"wind": rng.lognormal(size=1500), "hour": rng.integers(0, 24, 1500)})
    rows["carrier"] = rng.choice(list("ABC"), 1500)
    late = (rows.wind + (rows.carrier == "A") + rng.normal(size=1500) > 2).to_numpy()
    model = make_pipeline(FunctionTransformer(notebook()["features"]), LogisticRegression(max_iter=500))
    model.fit(rows, late)
    bundle = packed(workspace, tmp_path, model, inputs=columns_of(rows), whole=False)
    assert bundle.runtime == "hybrid"
    with trial(bundle) as server:
        assert len(server.pids) == 2, "the pipeline's own Python runs in a worker process"
        np.testing.assert_array_equal(score(server.url, server.headers, rows), model.predict(rows))
        served = score(server.url, server.headers, rows, output="probabilities")
        np.testing.assert_allclose(served, model.predict_proba(rows), atol=1e-6)
        with pytest.raises(ScoringError, match="the model failed"):
            score(server.url, server.headers, rows.head(1).assign(wind=-7.0))


@pytest.mark.parametrize("whole", [False, True])
def test_texts_reach_a_tokenizer_of_the_notebook_as_texts(workspace, tmp_path, whole) -> None:
    rng = np.random.default_rng(3)
    texts = pd.Series([" ".join(rng.choice(["Late", "storm", "sun", "gate"], 4)) for _ in range(60)])
    model = make_pipeline(TfidfVectorizer(tokenizer=notebook()["words"], token_pattern=None), LogisticRegression())
    model.fit(texts, texts.str.contains("storm").to_numpy())
    inputs = [{"name": "text", "type": "string", "required": True, "nullable": False, "series": True}]
    seen = replay(packed(workspace, tmp_path, model, inputs=inputs, whole=whole), reference(model, texts))
    assert (seen.rows, seen.fidelity.labels_different) == (60, 0)
    assert seen.fidelity.max_difference <= 1e-6
