"""Explain 100 trees on 10,000 rows by a budget of rows, beside shap on all of them; and how exact the sums are.

``python benchmarks/bench_explanations.py [--out FOLDER]`` writes ``explanations.md``. About two minutes.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness
import lightgbm
import numpy as np
import pandas as pd
import shap
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from nbmlops.explanation import ROWS, Asked, Subject, explain
from nbmlops.explanation.stability import magnitudes

ALL = 10_000
FEW = 200
NUMBERS = ["distance", "wind", "hour", "epoch", "visibility"]


def flights(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return mixed columns (large and small numbers, epoch seconds, texts, categories, gaps) and a delay."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "distance": rng.normal(size=rows) * 1000,
            "wind": rng.lognormal(size=rows),
            "hour": rng.integers(0, 24, rows),
            "carrier": pd.Categorical(rng.choice(list("ABCDEFGHIJ"), rows)),
            "weekend": rng.random(rows) < 0.3,
            "epoch": 1_700_000_000 + rng.integers(0, 10**7, rows),
        }
    )
    frame["visibility"] = frame.wind.where(rng.random(rows) > 0.1)
    other = frame.carrier.isin(["A", "D", "G"]) * 2 + (frame.epoch > 1_705_000_000) + np.sin(frame.hour / 4)
    return frame, (frame.distance / 1000 + frame.wind + other + rng.normal(size=rows) * 0.3).to_numpy()


def pipeline(last: Any) -> Any:
    """Return a pipeline that one-hot encodes, imputes and scales before its last step."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        ("passthrough", ["weekend"]),
    )
    return make_pipeline(columns, last)


def budget(name: str, model: Any) -> str:
    """Return a section: ours on a budget of rows beside shap on all, and how far the importances are off."""
    rows, delay = flights(ALL)
    rows = rows[NUMBERS].fillna(0.0).astype(float)
    model.fit(rows, delay > 3)
    order = np.random.default_rng(0).permutation(ALL)
    subject = Subject(model, rows.iloc[order[:ROWS]].reset_index(drop=True), rows, classes=(False, True))

    def ours() -> Any:
        return explain(subject, Asked("model/1", order[:ROWS], ALL), seconds=120)

    def all_rows() -> Any:
        explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
        return np.asarray(explainer.shap_values(rows.to_numpy(), check_additivity=False))

    cases = {
        f"explain, {ROWS:,} of {ALL:,} rows, with intervals": harness.timed(ours),
        f"shap, {ALL:,} rows": harness.timed(all_rows),
    }
    measured = harness.compare(f"Global importances of {name}", cases)
    whole = all_rows()
    exact = magnitudes((whole[:, :, 1] if whole.ndim == 3 else whole)[:, :, None])
    found = ours()
    shown = {one.column: one for one in found.importance}
    drawn = np.array([shown[column].value for column in rows.columns])
    inside = sum(shown[c].low <= e <= shown[c].high for c, e in zip(rows.columns, exact, strict=True))
    goal = replace(measured, peer=f"shap, {ALL:,} rows", goal="at least 5 times faster", packages=("shap",))
    error = (
        f"Error of the budget: {np.abs(drawn - exact).sum() / exact.sum():.1%} of all importance together, at most "
        f"{(np.abs(drawn - exact) / exact).max():.1%} of a column's own; {inside} of {len(exact)} lie in their "
        f"intervals. Residual {found.residual:.1e}."
    )
    return f"{harness.markdown(goal)}\n{error}\n"


def cases() -> dict[str, tuple[Any, str]]:
    """Return name -> model and what it learns."""
    return {
        "HistGradientBoosting, categories its own": (HistGradientBoostingClassifier(), "late"),
        "HistGradientBoosting, three classes": (HistGradientBoostingClassifier(max_iter=30), "grade"),
        "HistGradientBoosting regression, Poisson": (HistGradientBoostingRegressor(loss="poisson"), "count"),
        "HistGradientBoosting in a pipeline": (pipeline(HistGradientBoostingClassifier()), "late"),
        "random forest": (pipeline(RandomForestClassifier(50, max_depth=8)), "grade"),
        "extra trees": (pipeline(ExtraTreesClassifier(50, max_depth=8)), "late"),
        "gradient boosting": (pipeline(GradientBoostingClassifier()), "late"),
        "gradient boosting, three classes": (pipeline(GradientBoostingClassifier()), "grade"),
        "decision tree": (pipeline(DecisionTreeClassifier()), "late"),
        "XGBoost, categories its own": (xgboost.XGBClassifier(enable_categorical=True), "late"),
        "LightGBM, categories its own": (lightgbm.LGBMClassifier(verbose=-1), "late"),
        "logistic regression": (pipeline(LogisticRegression(max_iter=1000)), "grade"),
        "ridge": (pipeline(Ridge()), "delay"),
        "SVC": (pipeline(SVC()), "late"),
        "nearest neighbours": (pipeline(KNeighborsClassifier()), "late"),
    }


def residuals() -> str:
    """Return a table: who explains what, how exactly, and what shap's own TreeExplainer makes of the last step."""
    rows, delay = flights(3000)
    targets = {
        "late": delay > 3,
        "grade": np.digitize(delay, [2, 4]),
        "count": np.exp(delay.clip(max=3)),
        "delay": delay,
    }
    lines = [
        "## How exact the sums are",
        "",
        f"{FEW} rows; the difference is that of base and contributions to the model's own output, relative above 1.",
        "",
        "| Model | Explained by | Scale | Rows | Difference | shap's TreeExplainer on the last step |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for name, (model, target) in cases().items():
        model.fit(rows, targets[target])
        subject = Subject(model, rows.iloc[:FEW], rows.iloc[:1000], classes=tuple(getattr(model, "classes_", ())))
        found = explain(subject, Asked(name, np.arange(FEW), FEW), seconds=10)
        lines.append(
            f"| {name} | {found.explainer} | {found.scale} | {found.rows} | {found.residual:.0e} | {alone(subject)} |"
        )
    return "\n".join(lines) + "\n"


def alone(subject: Subject) -> str:
    """Return how far shap's sums are from the model's own margin, or that it fails."""
    try:
        explainer = shap.TreeExplainer(subject.last)
        matrix = subject.prepared(subject.rows)
        values = np.asarray(explainer.shap_values(matrix, check_additivity=False))
        sums = values.sum(axis=1) + explainer.expected_value
        leaves = hasattr(subject.last, "tree_") or type(subject.last).__name__.startswith(
            ("RandomForest", "ExtraTrees")
        )
        scale = "probability" if leaves else subject.margin
        own = subject.output(scale, subject.rows)
    except Exception as error:  # noqa: BLE001 - it shares no base of errors
        return f"fails ({type(error).__name__})"
    sums = sums[:, None] if sums.ndim == 1 else sums
    sums = sums[:, 1:] if sums.shape[1] == 2 else sums
    return f"{np.abs(sums - own).max():.0e}" if sums.shape == own.shape else f"fails (of shape {sums.shape})"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=harness.RESULTS)
    out = parser.parse_args().out
    warnings.simplefilter("ignore")
    parts = [
        "# Explanations",
        "",
        harness.machine(),
        "",
        budget("HistGradientBoosting, 100 trees", HistGradientBoostingClassifier(max_iter=100)),
        budget("gradient boosting, 100 trees of depth 5", GradientBoostingClassifier(n_estimators=100, max_depth=5)),
        residuals(),
    ]
    out.mkdir(parents=True, exist_ok=True)
    (out / "explanations.md").write_text("\n".join(parts), encoding="utf-8")
    print((out / "explanations.md").read_text())


if __name__ == "__main__":
    main()
