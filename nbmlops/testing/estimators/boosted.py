"""Cases of boosting by four libraries, with gaps and native categories."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sklearn import ensemble
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from nbmlops.testing.estimators.case import EITHER, STAYS, Case
from nbmlops.testing.estimators.data import EPOCH, GAPPED, NUMBERS, bundled, flights

CATEGORIES = ("carrier", "origin")
WITH_CATEGORIES = (*GAPPED, *CATEGORIES)


def _histogram(**options: Any) -> Any:
    return ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0, **options)


def _histogram_regression(**options: Any) -> Any:
    return ensemble.HistGradientBoostingRegressor(max_iter=20, random_state=0, **options)


def _ordinal(model: Any) -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encoder, list(CATEGORIES))], remainder="passthrough")
    return make_pipeline(columns, model)


def _native(model: Any) -> Any:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    columns = ColumnTransformer(
        [("texts", encoder, make_column_selector(pattern="carrier|origin"))], remainder="passthrough"
    )
    return make_pipeline(columns, model)


def _xgboost(kind: str = "XGBClassifier", **options: Any) -> Any:
    import xgboost

    return getattr(xgboost, kind)(n_estimators=20, max_depth=5, random_state=0, n_jobs=1, **options)


def _lightgbm(kind: str = "LGBMClassifier", **options: Any) -> Any:
    import lightgbm

    return getattr(lightgbm, kind)(n_estimators=20, num_leaves=15, random_state=0, n_jobs=1, verbose=-1, **options)


def _catboost(kind: str = "CatBoostClassifier", **options: Any) -> Any:
    options = {"iterations": 20, "depth": 4, "random_seed": 0, "thread_count": 1, **options}
    return getattr(import_module("catboost"), kind)(verbose=False, allow_writing_files=False, **options)


GRADIENT = (
    Case("gradient boosting", "boosting", lambda: ensemble.GradientBoostingClassifier(n_estimators=25, random_state=0),
         flights(NUMBERS), stepped=True),
    Case("gradient boosting, three classes", "boosting",
         lambda: ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0), flights(NUMBERS, "status"),
         stepped=True),
    Case("gradient boosting, regression", "boosting",
         lambda: ensemble.GradientBoostingRegressor(n_estimators=25, random_state=0), flights(EPOCH, "delay"),
         stepped=True),
    Case("gradient boosting, 90 % quantile", "boosting",
         lambda: ensemble.GradientBoostingRegressor(loss="quantile", alpha=0.9, n_estimators=15, random_state=0),
         flights(NUMBERS, "delay"), stepped=True),
)  # fmt: skip

HISTOGRAM = (
    Case("histogram boosting", "boosting", _histogram, flights(GAPPED), stepped=True),
    Case("histogram boosting, three classes", "boosting", _histogram, flights(GAPPED, "status"), stepped=True),
    Case("histogram boosting, seconds and identifiers", "boosting", _histogram, flights(EPOCH),
         stepped=True, trap="thresholds as float32 move seconds since 1970 by two minutes"),
    Case("histogram boosting, native categories", "boosting",
         lambda: _histogram(categorical_features="from_dtype"),
         flights(WITH_CATEGORIES, categories=CATEGORIES), stepped=True,
         trap="skl2onnx ignores categories: 50 to 89 % of the labels agree"),
    Case("histogram boosting, encoded categories", "boosting",
         lambda: _native(_histogram(categorical_features=[0, 1])), flights(WITH_CATEGORIES),
         stepped=True, trap="skl2onnx ignores categories: 50 to 89 % of the labels agree"),
    Case("histogram boosting, regression", "boosting", _histogram_regression, flights(GAPPED, "delay"),
         stepped=True),
    Case("histogram boosting, Poisson", "boosting", lambda: _histogram_regression(loss="poisson"),
         flights(GAPPED, "complaints"), stepped=True, trap="the answer is the exponent of the sum"),
    Case("histogram boosting, 90 % quantile", "boosting",
         lambda: _histogram_regression(loss="quantile", quantile=0.9), flights(GAPPED, "delay"), stepped=True),
)  # fmt: skip

XGBOOST = (
    Case("XGBoost", "boosting", _xgboost, flights(GAPPED, "late number"), stepped=True,
         trap="hummingbird is wrong by 5e-4", needs="xgboost"),
    Case("XGBoost, three classes", "boosting", _xgboost, bundled("wine"), stepped=True,
         trap="hummingbird is wrong by 1.5e-2", needs="xgboost"),
    Case("XGBoost, regression", "boosting", lambda: _xgboost("XGBRegressor"), flights(GAPPED, "delay"),
         stepped=True, needs="xgboost"),
    Case("XGBoost, native categories", "boosting", lambda: _xgboost(enable_categorical=True),
         flights(WITH_CATEGORIES, "late number", categories=CATEGORIES), outcome=EITHER, stepped=True,
         trap="categories reach the trees as whatever the feeder makes of them", needs="xgboost"),
)  # fmt: skip

LIGHTGBM = (
    Case("LightGBM", "boosting", _lightgbm, flights(GAPPED), stepped=True, needs="lightgbm"),
    Case("LightGBM, three classes", "boosting", _lightgbm, flights(GAPPED, "status"), stepped=True,
         needs="lightgbm"),
    Case("LightGBM, regression, seconds", "boosting", lambda: _lightgbm("LGBMRegressor"), flights(EPOCH, "delay"),
         stepped=True, trap="it compares in float64, ONNX in float32", needs="lightgbm"),
    Case("LightGBM, native categories", "boosting", _lightgbm,
         flights(WITH_CATEGORIES, categories=CATEGORIES), outcome=EITHER, stepped=True,
         trap="categories reach the trees as whatever the feeder makes of them", needs="lightgbm"),
)  # fmt: skip

CATBOOST = (
    Case("CatBoost", "boosting", _catboost, flights(NUMBERS, "late number"), stepped=True, needs="catboost"),
    Case("CatBoost, three classes", "boosting", _catboost, flights(NUMBERS, "status"), stepped=True, needs="catboost"),
    Case("CatBoost, regression, gaps", "boosting", lambda: _catboost("CatBoostRegressor"), flights(GAPPED, "delay"),
         stepped=True, needs="catboost"),
    Case("CatBoost, native categories", "boosting", lambda: _catboost(cat_features=list(CATEGORIES)),
         flights(WITH_CATEGORIES, "late number"), outcome=STAYS, stepped=True,
         trap="its own exporter knows no categories", needs="catboost"),
)  # fmt: skip

BEHIND_AN_ENCODER = (
    Case("ordinal encoder and gradient boosting", "boosting",
         lambda: _ordinal(ensemble.GradientBoostingClassifier(n_estimators=15, random_state=0)),
         flights((*NUMBERS, *CATEGORIES)), stepped=True),
    Case("ordinal encoder and XGBoost", "boosting", lambda: _ordinal(_xgboost()),
         flights((*GAPPED, *CATEGORIES), "late number"), stepped=True, needs="xgboost"),
)  # fmt: skip

CASES = (*GRADIENT, *HISTOGRAM, *XGBOOST, *LIGHTGBM, *CATBOOST, *BEHIND_AN_ENCODER)
