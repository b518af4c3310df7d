"""Models of XGBoost and LightGBM that onnxmltools writes wrongly without an error, each seen to be so."""

from __future__ import annotations

from typing import Any

from nbmlops.conversion.boosters import LIGHTGBM, XGBOOST, booster_of, library_of, settings_of
from nbmlops.conversion.lightgbm_text import header_of

XGBOOST_OBJECTIVES = frozenset(
    {
        "binary:hinge",
        "binary:logistic",
        "count:poisson",
        "multi:softprob",
        "rank:map",
        "rank:ndcg",
        "rank:pairwise",
        "reg:absoluteerror",
        "reg:gamma",
        "reg:pseudohubererror",
        "reg:squarederror",
        "reg:squaredlogerror",
        "reg:tweedie",
    }
)
LIGHTGBM_OBJECTIVES = frozenset(
    {
        "binary",
        "fair",
        "gamma",
        "huber",
        "lambdarank",
        "mape",
        "multiclass",
        "poisson",
        "quantile",
        "rank_xendcg",
        "regression",
        "regression_l1",
        "tweedie",
    }
)


def fault(model: Any) -> str | None:
    """Return why what onnxmltools makes of an estimator or a Booster is wrong, or None."""
    library = library_of(model)
    if library == XGBOOST:
        return _of_xgboost(model)
    return _of_lightgbm(model) if library == LIGHTGBM else None


def _of_xgboost(model: Any) -> str | None:
    booster = booster_of(model)
    learned = settings_of(booster)
    kind = learned["gradient_booster"]["name"]
    if kind != "gbtree":
        return f"it knows no booster of the kind {kind!r}"
    dropout = learned["gradient_booster"].get("dart_train_param", {})  # from 3.4 on, dart is a tree booster that drops
    if float(dropout.get("rate_drop", 0)) > 0 or int(dropout.get("one_drop", 0)):
        return "it leaves out the weights of the trees of dart"
    objective = learned["objective"]["name"]
    if objective not in XGBOOST_OBJECTIVES:
        return f"it leaves out what the objective {objective!r} does to the sums"
    parallel = int(learned["gradient_booster"]["gbtree_model_param"]["num_parallel_tree"])
    if parallel > 1 and objective.partition(":")[0] in {"binary", "multi"}:
        return "it takes the trees grown side by side for those of other classes"
    if int(learned["learner_model_param"].get("num_target", "1")) > 1:
        return "it does not tell the trees of several targets apart"
    if "c" in (booster.feature_types or ()):
        return "its trees part by categories, whose codes are not in the model"
    return None


def _of_lightgbm(model: Any) -> str | None:
    header = header_of(booster_of(model))
    objective, *settings = header.objective.split()
    if header.average:
        return "it adds up the trees of a random forest instead of taking their mean"
    if "sqrt" in settings:
        return "it does not square what was fitted to square roots"
    if objective not in LIGHTGBM_OBJECTIVES:
        return f"it leaves out what the objective {objective!r} does to the sums"
    if any(one.startswith("sigmoid:") and float(one.partition(":")[2]) != 1 for one in settings):
        return "it leaves out the factor of the sigmoid"
    if header.linear:
        return "it leaves out the linear models in the leaves"
    if header.categories:
        return "its trees part by categories, whose codes are not in the model"
    return None
