"""What can be registered, and the errors for what can't: all before anything is written."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from nbmlops.core.errors import InvalidInput, InvalidObject, NotFound
from nbmlops.registry import kinds


class Predicts:
    def predict(self, rows: Any) -> Any:
        return np.zeros(len(rows))


@pytest.mark.parametrize(
    ("obj", "kind"),
    [
        (LogisticRegression(), "sklearn"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "sklearn"),
        (Predicts(), "python"),
        (lambda rows: rows, "function"),
        (Path(__file__), "files"),
        (str(Path(__file__).parent), "files"),
    ],
)
def test_kinds(obj: Any, kind: str) -> None:
    assert kinds.kind_of(obj) == kind


def test_boosters() -> None:
    import catboost
    import lightgbm
    import xgboost

    assert kinds.kind_of(xgboost.XGBRegressor()) == "xgboost"
    assert kinds.kind_of(lightgbm.LGBMRegressor()) == "lightgbm"
    assert kinds.kind_of(catboost.CatBoostRegressor()) == "catboost"


def test_an_estimator_of_catboost_that_is_not_fitted() -> None:
    import catboost

    with pytest.raises(InvalidInput, match="this CatBoostRegressor is not fitted"):
        kinds.check(catboost.CatBoostRegressor(), "catboost")


@pytest.mark.parametrize("obj", [pd.DataFrame({"a": [1]}), 7, None, [1, 2], threading])
def test_what_cannot_predict_is_refused(obj: Any) -> None:
    with pytest.raises(InvalidObject, match=r"can't be registered.*Expected a fitted"):
        kinds.kind_of(obj)


def test_a_class_is_not_an_instance() -> None:
    with pytest.raises(InvalidObject, match=r"LogisticRegression is a class.*fitted LogisticRegression\(\)"):
        kinds.kind_of(LogisticRegression)


def test_a_path_with_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file or folder"):
        kinds.kind_of(tmp_path / "missing.pkl")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "only" / "folders").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="holds no file"):
        kinds.check(tmp_path, "files")


@pytest.mark.parametrize("obj", [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())])
def test_an_unfitted_estimator_is_refused(obj: Any) -> None:
    with pytest.raises(InvalidInput, match=r"is not fitted.*Call fit"):
        kinds.check(obj, "sklearn")


def test_an_object_that_cannot_be_pickled_names_the_attribute() -> None:
    model = Predicts()
    model.parts = {"cache": [1, threading.Lock()]}  # type: ignore[attr-defined]
    with pytest.raises(InvalidObject, match=r"attribute \.parts\['cache'\]\[1\] can't be pickled.*__getstate__"):
        kinds.check(model, "python")


def test_a_step_that_cannot_be_pickled_is_named() -> None:
    lock = threading.Lock()
    step = FunctionTransformer(lambda rows: rows * int(lock is not None))
    rows = np.arange(8.0).reshape(4, 2)
    model = make_pipeline(step, LogisticRegression()).fit(rows, [0, 1, 0, 1])
    with pytest.raises(InvalidObject, match=r"\.steps\[0\]\[1\]\.func\.lock can't be pickled"):
        kinds.check(model, "sklearn")


@pytest.mark.parametrize("function", [lambda: 1, lambda a, b: a, lambda a, *, b: a])
def test_a_function_that_is_no_model_is_refused(function: Any) -> None:
    with pytest.raises(InvalidObject, match="one argument"):
        kinds.check(function, "function")


@pytest.mark.parametrize("function", [lambda rows: rows, lambda rows, scale=2: rows, lambda *rows: rows, np.asarray])
def test_functions_that_are_models(function: Any) -> None:
    kinds.check(function, "function")
