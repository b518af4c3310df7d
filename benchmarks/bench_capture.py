"""What capturing costs: the environment, and the digest of a million rows, against MLflow's own."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import harness
import mlflow
import mlflow.data
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_pip_requirements
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from nbmlops.capture import capture_environment, capture_git, distributions, fingerprint

ROWS = 1_000_000
PEERS = ("mlflow, infer_pip_requirements", "mlflow, digest of 10,000 rows and its profile")


def table(rows: int) -> pd.DataFrame:
    """Return 21 mixed columns: 9 floats (one with gaps), 5 integers, 4 texts, a boolean, a category, a date."""
    random = np.random.default_rng(2013)
    columns: dict[str, object] = {f"float_{place}": random.normal(size=rows) for place in range(9)}
    columns |= {f"integer_{place}": random.integers(0, 1000, rows) for place in range(5)}
    columns |= {f"text_{place}": random.choice(["EWR", "JFK", "LGA"], rows) for place in range(3)}
    columns["tail_number"] = random.integers(0, 10**6, rows).astype(str)
    columns["flag"] = random.random(rows) < 0.5
    columns["carrier"] = pd.Categorical(random.choice(list("ABCDE"), rows))
    columns["when"] = pd.Timestamp("2013-01-01") + pd.to_timedelta(random.integers(0, 10**6, rows), unit="s")
    frame = pd.DataFrame(columns)
    frame.loc[::7, "float_0"] = np.nan
    return frame


def fitted() -> Pipeline:
    data = table(2_000)
    columns = make_column_transformer((OneHotEncoder(), ["text_0", "carrier"]), remainder="drop")
    return make_pipeline(columns, GradientBoostingClassifier(n_estimators=5)).fit(data, data["flag"])


def environment() -> harness.Comparison:
    model, example = fitted(), table(5)

    def first() -> None:
        distributions._read.cache_clear()
        capture_environment(model, example)

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "model"
        mlflow.sklearn.save_model(model, saved, serialization_format="cloudpickle", pip_requirements=["scikit-learn"])
        cases = {
            PEERS[0]: harness.timed(lambda: infer_pip_requirements(str(saved), "sklearn")),
            "nbmlops, first in a process": harness.timed(first),
            "nbmlops, from then on": harness.timed(lambda: capture_environment(model, example)),
            "nbmlops, the git state besides": harness.timed(lambda: capture_git(harness.HERE)),
        }
        measured = harness.compare("Environment capture of a fitted pipeline", cases)
    return replace(measured, peer=PEERS[0], goal="100 times faster, under 0.1 s", packages=("mlflow", "scikit-learn"))


def digest() -> harness.Comparison:
    data = table(ROWS)
    cases = {
        PEERS[1]: harness.timed(lambda: mlflow.data.from_pandas(data).profile),
        "nbmlops, every cell": harness.timed(lambda: fingerprint(data, profile=False)),
        "nbmlops, every cell, with the profile": harness.timed(lambda: fingerprint(data)),
    }
    measured = harness.compare(f"Data digest of {ROWS:,} rows × {data.shape[1]} mixed columns", cases)
    return replace(
        measured,
        peer=PEERS[1],
        goal="about 0.5 s, every cell counted",
        packages=("mlflow", "pandas", "pyarrow"),
    )


if __name__ == "__main__":
    harness.report(environment(), digest())
