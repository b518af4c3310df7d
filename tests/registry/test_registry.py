"""The registry over a real MLflow store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from nbmlops.capture import capture
from nbmlops.core.workspace import Workspace
from nbmlops.journal import Journal
from nbmlops.registry import Registration, Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    workspace = Workspace(tmp_path).open()
    return Registry(workspace, Journal.open(workspace))


def test_a_registered_estimator_comes_back(registry: Registry) -> None:
    data = pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50)[::-1], "y": np.arange(50) > 20})
    model = LogisticRegression().fit(data[["a", "b"]], data["y"])
    made = registry.register(model, Registration("flights", capture(model, data), data=data, label="y"))
    assert made.reference == "flights/1"
    again = registry.load("flights")
    assert (again.predict(data[["a", "b"]]) == model.predict(data[["a", "b"]])).all()
