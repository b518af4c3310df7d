"""XGBoost and LightGBM to ONNX by onnxmltools, alone and as the last step of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.boosters import (
    EXTRA,
    LIGHTGBM,
    XGBOOST,
    bare_outputs,
    dressed,
    is_bare,
    last_step,
    library_of,
    nameless,
    with_last_step,
)
from nbmlops.conversion.boosting_faults import fault
from nbmlops.conversion.graph_inputs import possible_inputs
from nbmlops.conversion.graphs import Steps, scikit_learn_graph
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.preprocessing import as_model, with_float64_preprocessing
from nbmlops.conversion.rungs import FLOAT32, FLOAT64_PREPROCESSING
from nbmlops.core.errors import InvalidObject
from nbmlops.core.optional import require

if TYPE_CHECKING:
    import onnx


class OnnxmltoolsConverter:
    """Converts the estimators of XGBoost and LightGBM, and a bare Booster of XGBoost.

    XGBoost itself rounds numbers to float32. A pipeline's preparing steps count in float64 on the second rung, since a
    scaled number can otherwise land on the other side of a threshold.
    """

    name = "onnxmltools"
    rungs = (FLOAT32, FLOAT64_PREPROCESSING)

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is an estimator of either library, or a pipeline that ends in one."""
        return library_of(last_step(model)) is not None

    def refusal(self, model: Any) -> str | None:
        """Return why what onnxmltools makes of `model` is wrong, or None where nothing is known against it."""
        return fault(last_step(model))

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX.

        Raises
        ------
        InvalidObject
            It is nothing that onnxmltools knows, or an input has a type that it can't take.
        MissingExtra
            onnxmltools is not installed.
        """
        require("onnxmltools", EXTRA, "converting XGBoost and LightGBM")
        if rung == FLOAT64_PREPROCESSING:
            return with_float64_preprocessing(model, signature, _last_graph, converter=self.name)
        inputs = possible_inputs(model, signature)[0]
        if any(one["dtype"] == "string" for one in inputs) and last_step(model) is model:
            raise InvalidObject("it takes a column of text, which its trees know as categories")
        return as_model(_graph(model, inputs), inputs, converter=self.name)


def _last_graph(estimator: Any, columns: int) -> onnx.ModelProto:
    return _graph(estimator, [{"name": "prepared columns", "dtype": "float32", "shape": [-1, columns]}])


def _graph(model: Any, inputs: Sequence[Mapping[str, Any]]) -> onnx.ModelProto:
    last = last_step(model)
    if is_bare(last) and library_of(last) == LIGHTGBM:
        raise InvalidObject("onnxmltools answers a bare Booster of LightGBM as if it were an estimator")
    ready = dressed(last) if is_bare(last) else last
    if library_of(ready) == XGBOOST:
        ready = nameless(ready)
    steps = Steps(
        conversions={type(ready): _conversion(ready)}, shapes={type(ready): shape}, parsers={type(ready): parsed}
    )
    graph = scikit_learn_graph(with_last_step(model, ready), inputs, steps=steps)
    if is_bare(last):
        bare_outputs(graph)
    return graph


def _conversion(model: Any) -> Callable[..., None]:
    """Return onnxmltools' conversion of one step, which skl2onnx calls as if it were its own.

    It is handed over for this call alone, so that nothing is registered and a user's own registration stays.
    """
    if library_of(model) == XGBOOST:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        return convert_xgboost  # type: ignore[no-any-return]
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    return convert_lightgbm  # type: ignore[no-any-return]


def parsed(scope: Any, model: Any, inputs: Any, *, custom_parsers: Any = None) -> Any:
    """Declare a step and its outputs to skl2onnx: label and probabilities, or values."""
    from skl2onnx.common import data_types
    from sklearn.base import is_classifier

    operator = scope.declare_local_operator("NbmlopsBoosting", model)
    operator.inputs = inputs
    names = ("label", "probabilities") if is_classifier(model) else ("variable",)
    operator.outputs.extend(scope.declare_local_variable(name, data_types.FloatTensorType()) for name in names)
    return operator.outputs


def shape(operator: Any) -> None:
    """Tell skl2onnx the types and widths of the outputs of a step that answers in float32."""
    from skl2onnx.common.data_types import FloatTensorType

    outputs_of(operator, FloatTensorType)


def outputs_of(operator: Any, numbers: Any) -> None:
    """Tell skl2onnx the types and widths of the outputs of a step, its numbers being of the type `numbers`."""
    from skl2onnx.common import data_types
    from sklearn.base import is_classifier

    model, rows = operator.raw_operator, operator.inputs[0].get_first_dimension()
    if not is_classifier(model):
        operator.outputs[0].type = numbers([rows, 1])
        return
    text = model.classes_.dtype.kind in "OUS"
    operator.outputs[0].type = (data_types.StringTensorType if text else data_types.Int64TensorType)([rows])
    operator.outputs[1].type = numbers([rows, len(model.classes_)])
