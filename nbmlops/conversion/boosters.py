"""What XGBoost and LightGBM fitted: their estimators and bare boosters, where a converter finds them."""

from __future__ import annotations

import copy
import json
from typing import Any

XGBOOST, LIGHTGBM = "xgboost", "lightgbm"
EXTRA = "boosting"


def library_of(model: Any) -> str | None:
    """Return the boosting library whose own class `model` is of, or None."""
    root = type(model).__module__.partition(".")[0]
    return root if root in {XGBOOST, LIGHTGBM} and hasattr(model, "predict") else None


def is_bare(model: Any) -> bool:
    """Return whether `model` is a Booster without an estimator around it."""
    return library_of(model) is not None and not hasattr(model, "get_params")


def last_step(model: Any) -> Any:
    """Return the last step of a pipeline, of pipelines within it too, or `model` itself where it is none."""
    from sklearn.pipeline import Pipeline

    return last_step(model.steps[-1][1]) if isinstance(model, Pipeline) else model


def with_last_step(model: Any, last: Any) -> Any:
    """Return a copy of a pipeline that ends in `last`, or `last` where `model` is none; the rest is shared."""
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline):
        return last
    *before, (name, inner) = model.steps
    same = copy.copy(model)
    same.steps = [*before, (name, with_last_step(inner, last))]
    return same


def booster_of(model: Any) -> Any:
    """Return the Booster inside an estimator of either library."""
    if is_bare(model):
        return model
    return model.get_booster() if library_of(model) == XGBOOST else model.booster_


def settings_of(booster: Any) -> dict[str, Any]:
    """Return what XGBoost itself says of how a Booster was trained."""
    found: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return found


def nameless(model: Any) -> Any:
    """Return a copy of an estimator of XGBoost whose Booster has lost the names of its columns.

    The exporter reads the place of a column from its name, and knows only those that XGBoost gives itself.
    """
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(bytearray(booster_of(model).save_raw("ubj")))
    booster.feature_names = booster.feature_types = None
    same = copy.copy(model)
    same._Booster = booster
    return same


def dressed(booster: Any) -> Any:
    """Return an estimator around a bare Booster of XGBoost, of the kind that its objective has."""
    import xgboost

    learned = settings_of(booster)
    if str(learned["objective"]["name"]) not in {"binary:logistic", "multi:softprob"}:
        shell = xgboost.XGBRegressor(objective=learned["objective"]["name"])
    else:
        shell = xgboost.XGBClassifier(objective=learned["objective"]["name"])
        shell.n_classes_ = max(int(learned["learner_model_param"]["num_class"]), 2)
    shell._Booster = booster
    return shell


def bare_outputs(graph: Any) -> None:
    """Let a graph of a dressed Booster answer what the Booster itself does: probabilities, of two classes the second.

    Parameters
    ----------
    graph : onnx.ModelProto
        Changed in place. A regression's graph is left as it is.
    """
    from onnx import TensorProto, helper

    if len(graph.graph.output) == 1:
        return
    probabilities = graph.graph.output[1]
    width = probabilities.type.tensor_type.shape.dim[1].dim_value
    del graph.graph.output[0]
    if width > 2:
        return
    graph.graph.initializer.append(helper.make_tensor("the second class", TensorProto.INT64, [], [1]))
    graph.graph.node.append(
        helper.make_node("Gather", [probabilities.name, "the second class"], ["answer"], axis=1, name="answer")
    )
    graph.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("answer", probabilities.type.tensor_type.elem_type, [None])
    )
