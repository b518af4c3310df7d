"""Trees and ensembles of them: exact, with the counts of training rows for what is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from nbmlops.core.quiet import quiet_answers
from nbmlops.explanation.leaves import Tree, histogram_trees, one_hot, paths_of, sklearn_tree
from nbmlops.explanation.paths import Paths
from nbmlops.explanation.seam import Part, Prepared
from nbmlops.explanation.subject import PROBABILITY, VALUE, Floats, Subject, kind

if TYPE_CHECKING:
    import pandas as pd

HOW = "exact for trees; unknown columns follow the training rows"
SHAP_TREES = ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")


def is_histogram(estimator: Any) -> bool:
    """Return whether it is a histogram gradient boosting model of scikit-learn."""
    return type(estimator).__name__.startswith("HistGradientBoosting")


class LeafPaths:
    """Explains scikit-learn's trees from the paths to their leaves.

    The values are those of TreeSHAP's path-dependent form. It knows what shap's own does not: categories and missing
    values of histogram gradient boosting in double precision, and boosting of several classes.
    """

    name = "tree"
    apart = False

    def can_explain(self, subject: Subject) -> bool:
        """Return whether the last step holds scikit-learn's trees, not too many."""
        last = subject.last
        return is_histogram(last) or hasattr(last, "tree_") or _is_of_trees(last)

    def prepare(self, subject: Subject) -> Prepared:
        """Return the exact values, raw columns of one-hot ones summed."""
        paths, scale = ensemble(subject.last, subject)
        subject.origins.check()

        def explain(rows: pd.DataFrame) -> Part:
            values = paths.contributions(rows_for(subject.last, subject.matrix(rows)))
            return Part(subject.origins.summed(values, len(subject.columns)))

        return Prepared(explain, paths.base, scale, background=0, how=HOW)


def _is_of_trees(estimator: Any) -> bool:
    inner = getattr(estimator, "estimators_", None)
    first = np.ravel(np.asarray(inner, dtype=object))[:1] if inner is not None and len(inner) else ()
    return all(hasattr(one, "tree_") for one in first) and len(first) > 0 and _additive(estimator)


def _additive(estimator: Any) -> bool:
    return type(estimator).__name__.startswith(("RandomForest", "ExtraTrees", "GradientBoosting"))


def rows_for(estimator: Any, matrix: Floats) -> Floats:
    """Return rows in the precision in which the trees compare them."""
    return matrix if is_histogram(estimator) else np.asarray(matrix, dtype=np.float32).astype(np.float64)


def ensemble(estimator: Any, subject: Subject) -> tuple[Paths, str]:
    """Return the paths of scikit-learn's trees and the scale of their sum.

    Raises
    ------
    ValueError
        There are too many, or the model adds something that no tree explains.
    """
    if is_histogram(estimator):
        return paths_of(histogram_trees(estimator), np.ravel(estimator._baseline_prediction)), subject.margin
    if type(estimator).__name__.startswith("GradientBoosting"):
        return paths_of(_boosted(estimator), _start(estimator)), subject.margin
    trees = list(getattr(estimator, "estimators_", [estimator]))
    made = (sklearn_tree(tree.tree_, _averaged(tree.tree_, subject, len(trees))) for tree in trees)
    outputs = _averaged(trees[0].tree_, subject, 1).shape[1]
    return paths_of(made, np.zeros(outputs)), PROBABILITY if subject.classes else VALUE


def _averaged(tree: Any, subject: Subject, count: int) -> Floats:
    """Return what each node adds, shape (n_nodes, n_outputs)."""
    value = np.asarray(tree.value, dtype=np.float64)
    if not subject.classes:
        return np.asarray(value[:, :, 0] / count)
    if value.shape[1] > 1:
        raise ValueError("it tells several labels apart")
    shares = value[:, 0] / value[:, 0].sum(axis=1, keepdims=True)
    return np.asarray(shares[:, 1:] if len(subject.classes) == 2 else shares) / count


def _boosted(estimator: Any) -> Iterator[Tree]:
    outputs = estimator.estimators_.shape[1]
    return chain.from_iterable(
        (
            sklearn_tree(tree.tree_, tree.tree_.value[:, 0] * estimator.learning_rate * one_hot(output, outputs))
            for output, tree in enumerate(stage)
        )
        for stage in estimator.estimators_
    )


def _start(estimator: Any) -> Floats:
    """Return what boosting starts from, which has to be the same for all rows."""
    if estimator.init_ != "zero" and not type(estimator.init_).__name__.startswith("Dummy"):
        raise ValueError("its boosting starts from another model")
    return np.asarray(estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_)))[0], dtype=np.float64)


class BoosterTrees:
    """Explains XGBoost and LightGBM models with the values that these libraries compute themselves."""

    name = "tree"
    apart = False

    def can_explain(self, subject: Subject) -> bool:
        """Return whether the last step is of a library that explains its own trees."""
        return kind(subject.last) in {"xgboost", "lightgbm"}

    def prepare(self, subject: Subject) -> Prepared:
        """Return the library's exact values, raw columns of one-hot ones summed."""
        package = kind(subject.last)
        answer = {"xgboost": _of_xgboost, "lightgbm": _of_lightgbm}[package]
        subject.origins.check()

        def asked(rows: pd.DataFrame) -> Floats:  # (n_rows, n_outputs, n_prepared + 1), the base last
            with quiet_answers():
                return np.asarray(answer(subject.last, subject.prepared(rows)), dtype=np.float64)

        def explain(rows: pd.DataFrame) -> Part:
            values = np.moveaxis(asked(rows)[:, :, :-1], 1, 2)
            return Part(subject.origins.summed(values, len(subject.columns)))

        base = asked(subject.rows.iloc[:1])[0, :, -1]
        return Prepared(explain, base, subject.margin, background=0, how=f"{HOW}; by {package} itself")


def _of_xgboost(model: Any, rows: Any) -> Any:
    import xgboost

    booster = model.get_booster() if hasattr(model, "get_booster") else model
    categorical = bool(getattr(model, "enable_categorical", False))
    missing = getattr(model, "missing", np.nan)
    matrix = xgboost.DMatrix(rows, missing=missing, enable_categorical=categorical)
    return booster.predict(matrix, pred_contribs=True, strict_shape=True, iteration_range=_best(model))


def _best(model: Any) -> tuple[int, int]:
    best = getattr(model, "best_iteration", None) if getattr(model, "early_stopping_rounds", None) else None
    return (0, 0) if best is None else (0, best + 1)


def _of_lightgbm(model: Any, rows: Any) -> Any:
    found = model.predict(rows, pred_contrib=True)
    found = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    outputs = getattr(model, "n_classes_", 1) or 1
    return found.reshape(len(found), outputs if outputs > 2 else 1, -1)


class ShapTrees:
    """Explains large forests, and whatever else shap's TreeExplainer knows, with it."""

    name = "tree (shap)"
    apart = True

    def can_explain(self, subject: Subject) -> bool:
        """Return whether the last step is of a kind of trees that shap knows."""
        return type(subject.last).__name__.startswith(SHAP_TREES)

    def prepare(self, subject: Subject) -> Prepared:
        """Return shap's path-dependent values, raw columns of one-hot ones summed."""
        import shap

        explainer = shap.TreeExplainer(subject.last, feature_perturbation="tree_path_dependent")
        base = np.ravel(explainer.expected_value)
        positive = slice(1, None) if len(subject.classes) == 2 and len(base) == 2 else slice(None)
        subject.origins.check()

        def explain(rows: pd.DataFrame) -> Part:
            found = np.asarray(explainer.shap_values(subject.matrix(rows), check_additivity=False))
            values = found[:, :, None] if found.ndim == 2 else found[:, :, positive]
            return Part(subject.origins.summed(values, len(subject.columns)))

        boosted = "GradientBoosting" in type(subject.last).__name__
        scale = (subject.margin if boosted else PROBABILITY) if subject.classes else VALUE
        return Prepared(explain, base[positive], scale, background=0, how=f"{HOW}; by shap")
