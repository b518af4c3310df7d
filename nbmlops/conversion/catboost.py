"""CatBoost to ONNX by its own exporter, alone and as the last step of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.boosters import last_step
from nbmlops.conversion.graph_inputs import possible_inputs
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.preprocessing import as_model, with_float64_preprocessing
from nbmlops.conversion.rungs import FLOAT32, FLOAT64_PREPROCESSING
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import onnx

LOSSES = frozenset(
    {
        "CrossEntropy",
        "Expectile",
        "Huber",
        "LogCosh",
        "Logloss",
        "Lq",
        "MAE",
        "MAPE",
        "MultiClass",
        "QueryRMSE",
        "QuerySoftMax",
        "Quantile",
        "RMSE",
        "YetiRank",
        "YetiRankPairwise",
    }
)
"""Losses whose sums the exporter turns into answers as CatBoost itself does."""
IR_VERSION = 8  # the exporter writes 3, of which ONNX Runtime warns; the first with the operator set that is declared


class CatboostConverter:
    """Converts CatBoost's estimators without categories, texts and embeddings.

    CatBoost itself rounds numbers to float32. A pipeline's preparing steps count in float64.
    """

    name = "catboost"
    rungs = (FLOAT32, FLOAT64_PREPROCESSING)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is an estimator of CatBoost, or a pipeline that ends in one."""
        last = last_step(model)
        return type(last).__module__.partition(".")[0] == "catboost" and hasattr(last, "predict")

    def refusal(self, model: Any) -> str | None:
        """Return why what CatBoost exports is wrong, or None where nothing is known against it."""
        loss = str(last_step(model).get_all_params().get("loss_function", "")).partition(":")[0]
        return None if loss in LOSSES else f"its exporter leaves out what the loss {loss!r} does to the sums"

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX.

        Raises
        ------
        InvalidObject
            It has features that are no numbers, or CatBoost can't export it.
        """
        last = last_step(model)
        kinds = {
            "categories": last.get_cat_feature_indices(),
            "texts": last.get_text_feature_indices(),
            "embeddings": last.get_embedding_feature_indices(),
        }
        for kind, found in kinds.items():
            if found:
                raise InvalidObject(f"CatBoost exports no {kind}, and {len(found)} of its features are such")
        if rung == FLOAT64_PREPROCESSING:
            return with_float64_preprocessing(model, signature, _graph, converter=self.name)
        if last is not model:
            raise InvalidObject("its preprocessing counts in float64")
        [given] = possible_inputs(model, signature)[0]
        if given["dtype"] != "float32":
            raise InvalidObject("CatBoost exports numbers alone, and its columns are texts")
        graph = _graph(model, given["shape"][1])
        graph.graph.input[0].name = given["name"]
        for node in graph.graph.node:
            node.input[:] = [given["name"] if name == "features" else name for name in node.input]
        return as_model(graph, (given,), converter=self.name)


def _graph(model: Any, columns: int) -> onnx.ModelProto:
    """Return the graph that CatBoost exports, with probabilities as an array and without the log of the training."""
    import onnx
    from onnx import TensorProto, helper

    from nbmlops.conversion.graphs import OPSET

    made: onnx.ModelProto = onnx.load_from_string(_exported(model))
    graph = made.graph
    del made.metadata_props[:]
    made.ir_version = IR_VERSION
    made.opset_import.append(helper.make_opsetid("", OPSET))
    if len(graph.output) == 1:
        return made
    if not hasattr(model, "predict_proba"):
        raise InvalidObject(f"a {type(model).__name__} answers sums where what CatBoost exports answers labels")
    [zipped] = [node for node in graph.node if node.op_type == "ZipMap"]
    graph.node.remove(zipped)
    del graph.output[1]
    shape = [None, len(model.classes_)]
    graph.output.append(helper.make_tensor_value_info(zipped.input[0], TensorProto.FLOAT, shape))
    return made


def _exported(model: Any) -> bytes:
    from catboost import CatBoostError

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            model.save_model(str(path), format="onnx")
        except CatBoostError as error:
            raise InvalidObject(f"CatBoost can't export it: {str(error).partition(': ')[2] or error}") from error
        return path.read_bytes()
