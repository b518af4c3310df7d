"""A small world for the verbs: rows, a model that converts, one that does not, and a session on an empty workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from nbmlops.core.workspace import Workspace
from nbmlops.workflows.session import Session, current

NUMBERS = ["hour", "distance"]


@pytest.fixture(scope="package")
def rows() -> pd.DataFrame:
    """Flights with a label that depends on the hour and the carrier."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "hour": rng.integers(0, 24, 400),
            "distance": rng.integers(80, 3000, 400).astype(float),
            "carrier": rng.choice(["AA", "DL", "UA"], 400),
        }
    )
    frame.loc[::23, "distance"] = np.nan
    frame["late"] = ((frame.hour + 3 * (frame.carrier == "UA") + rng.normal(0, 3, 400)) > 15).astype(int)
    return frame


def fitted(rows: pd.DataFrame, last: object) -> Pipeline:
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), (SimpleImputer(), NUMBERS))
    return make_pipeline(columns, last).fit(rows.drop(columns="late"), rows.late)


@pytest.fixture(scope="package")
def converting(rows: pd.DataFrame) -> Pipeline:
    """A pipeline that ONNX Runtime answers for equally."""
    return fitted(rows, LogisticRegression(C=0.01, max_iter=2000))


@pytest.fixture(scope="package")
def stubborn(rows: pd.DataFrame) -> Pipeline:
    """A pipeline that does not convert."""
    return fitted(rows, KNeighborsClassifier())


@pytest.fixture
def session(workspace: Workspace) -> Iterator[Session]:
    """The session of an empty workspace; whatever a test deployed is taken down."""
    from nbmlops.workflows.operate import down

    opened = current()
    yield opened
    down()


@pytest.fixture
def inputs(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns="late").head(20)


@pytest.fixture(scope="package")
def template(
    rows: pd.DataFrame, converting: Pipeline, stubborn: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace with two versions, their runtimes chosen: the first converts, the second does not."""
    root = tmp_path_factory.mktemp("template")
    from nbmlops.workflows.prepare import prepare
    from nbmlops.workflows.register import register_model

    (root / ".nbmlops").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NBMLOPS_WORKSPACE", str(root))
        for model in (converting, stubborn):
            prepare(current(), register_model(model, name="flights", data=rows, label="late"))
    return root / ".nbmlops"


@pytest.fixture
def two(template: Path, workspace: Workspace) -> Iterator[Session]:
    """A session on a copy of the template, as a workspace that was moved; what a test deployed is taken down."""
    from nbmlops.workflows.operate import down

    shutil.copytree(template, workspace.home, dirs_exist_ok=True)
    yield current()
    down()
