"""The converter of our own: HistGradientBoosting, alone or inside other estimators, number for number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmlops.conversion.estimators import holds
from nbmlops.conversion.float64_steps import float64_steps
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT64, ROUNDED
from nbmlops.conversion.scikit_learn import is_of_scikit_learn, whole
from nbmlops.conversion.tree_steps import tree_steps

NAME = "nbmlops"


class ExactConverter:
    """Converts what holds a HistGradientBoosting, which skl2onnx gets wrong where it has categories.

    In float64 the answers are those of scikit-learn to the last bits: categories, unknown ones, missing values and
    numbers that float32 can't hold among them. The other steps are those of skl2onnx in float64.
    """

    name = NAME
    rungs = (FLOAT64, ROUNDED)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is an estimator of scikit-learn that predicts with a HistGradientBoosting."""
        return is_of_scikit_learn(model) and holds(model, "HistGradientBoosting")

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT64) -> OnnxModel:
        """Return `model` in ONNX.

        Raises
        ------
        InvalidObject
            A column or a category has no type in ONNX, or skl2onnx has no conversion of a step.
        """
        if rung == ROUNDED:
            steps = tree_steps(model, dtype="float32")
            return whole(model, signature, numbers="float32", steps=steps, converter=NAME)
        steps = float64_steps(model) | tree_steps(model)
        return whole(model, signature, numbers="float64", steps=steps, converter=NAME)
