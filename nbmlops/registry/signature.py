"""The signature of a version: plain data of our own, and MLflow's in the model's ``MLmodel``."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import plain
from nbmlops.registry import arguments, categories, kinds, mlflow_door, nulls
from nbmlops.registry.records import UNKNOWN, Reference, Signature
from nbmlops.registry.sample import classes_of
from nbmlops.registry.tables import Inputs

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

EXAMPLE_ROWS = 5
NANOSECONDS = "datetime64[ns]"  # what a server makes of moments unless told otherwise
EXAMPLE, SERVING_EXAMPLE = "input_example.json", "serving_input_example.json"


def infer(obj: Any, inputs: Inputs | None, reference: Reference | None) -> Signature:
    """Return the signature that data and answers show.

    Raises
    ------
    InvalidInput
        When a column holds what MLflow has no type for.
    """
    params = arguments.declared(obj)
    known: Signature = {"params": params} if params else {}
    if inputs is None:
        return {**UNKNOWN, "task": task_of(obj), "classes": classes_of(obj)} | known
    with threadpool_limits(1):  # threads that wait for each other make a few rows slow on a busy machine
        columns = _inputs(obj, inputs, reference)
    return {
        "inputs": columns,
        "outputs": None if reference is None else _outputs(reference.predictions),
        "task": task_of(obj),
        "classes": reference.classes if reference else classes_of(obj),
        "example": example_of(inputs.frame.head(EXAMPLE_ROWS)),
    } | known


def _inputs(obj: Any, inputs: Inputs, reference: Reference | None) -> list[dict[str, Any]] | dict[str, Any]:
    """Return the form of the inputs: what the data show, and what the object itself takes beyond them."""
    answered = set() if reference is None else nulls.answered(obj, inputs, reference.inputs)
    if inputs.form == "array":
        return _tensor_of(inputs, answered)
    closed = {} if reference is None else categories.known(obj, inputs, reference.inputs)
    alone = {"series": True} if inputs.form == "series" else {}
    return [
        column | _nulls(column["name"] in answered) | _known(closed.get(column["name"])) | alone
        for column in columns_of(inputs.frame)
    ]


def task_of(obj: Any) -> str:
    """Return ``classification``, ``regression`` or ``other``."""
    from sklearn.base import BaseEstimator, is_classifier, is_regressor

    if not isinstance(obj, BaseEstimator) and kinds.kind_of(obj) != kinds.CATBOOST:
        return "classification" if hasattr(obj, "classes_") else "other"
    if is_classifier(obj):
        return "classification"
    return "regression" if is_regressor(obj) else "other"


def columns_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return name, MLflow type and nullability of each column."""
    return [
        {
            "name": str(name),
            "type": type_of(frame[name]),
            "required": True,
            "nullable": bool(frame[name].isna().any()),
        }
        | _beyond_type(frame[name])
        for name in frame.columns
    ]


def _nulls(answered: bool) -> dict[str, Any]:
    return {"nullable": True, "nulls": nulls.BY_MODEL} if answered else {}


def _known(values: list[Any] | None) -> dict[str, Any]:
    return {} if values is None else {"categories": values}


def _beyond_type(column: pd.Series[Any]) -> dict[str, Any]:
    """Return what of a column's dtype its MLflow type does not tell: categories, a masked dtype, a unit of time."""
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {"dtype": "category", "categories": plain(dtype.categories.tolist())}
    masked = (
        hasattr(dtype, "numpy_dtype") and dtype.kind in "biuf" and isinstance(dtype, pd.api.extensions.ExtensionDtype)
    )
    coarser = dtype.kind == "M" and not isinstance(dtype, pd.DatetimeTZDtype) and str(dtype) != NANOSECONDS
    return {"dtype": str(dtype)} if masked or coarser else {}


def type_of(column: pd.Series[Any]) -> str:
    """Return MLflow's name of a column's type.

    A categorical has the type of its categories, an extension type that of its values.
    """
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        return "datetime"
    if dtype.kind == "b":
        return "boolean"
    if dtype.kind in "iu":
        wide = dtype.itemsize > 4 or (dtype.kind == "u" and dtype.itemsize == 4)
        return "long" if wide else "integer"
    if dtype.kind == "f":
        return "double" if dtype.itemsize > 4 else "float"
    if isinstance(dtype, pd.StringDtype):
        return "string"
    return _type_of_objects(column)


OBJECTS = {
    "string": "string",
    "empty": "string",
    "boolean": "boolean",
    "bytes": "binary",
    "integer": "long",
    "floating": "double",
    "mixed-integer-float": "double",
    "decimal": "double",
    "datetime64": "datetime",
    "datetime": "datetime",
    "date": "datetime",
}


def _type_of_objects(column: pd.Series[Any]) -> str:
    import pandas as pd

    content = pd.api.types.infer_dtype(column.astype(object), skipna=True)
    if content not in OBJECTS:
        raise InvalidInput(
            f"the column {column.name!r} holds {content} values of dtype {column.dtype}",
            expected="numbers, booleans, texts, bytes or times, one kind in a column",
            hint=f"Convert it, for instance with astype, or drop it: data.drop(columns=[{column.name!r}]).",
        )
    return OBJECTS[content]


def _tensor_of(inputs: Inputs, answered: Collection[str] = ()) -> dict[str, Any]:
    values = inputs.frame.to_numpy()
    nullable = values.dtype.kind == "f" and bool(inputs.frame.isna().to_numpy().any())
    form = {"dtype": str(values.dtype), "shape": [-1, *inputs.shape]} | ({"nullable": True} if nullable else {})
    return {"tensor": form | _nulls(len(answered) == len(inputs.frame.columns))}


def _outputs(predictions: np.ndarray[Any, Any]) -> list[dict[str, Any]] | dict[str, Any]:
    import pandas as pd

    if predictions.ndim > 1:
        return {"tensor": {"dtype": str(predictions.dtype), "shape": [-1, *predictions.shape[1:]]}}
    return columns_of(pd.DataFrame({"prediction": predictions}))


def example_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Return rows as plain data: ``{"columns": […], "data": [[…], …]}``; nulls and NaN are None."""
    text = frame.to_json(orient="split", date_format="iso", index=False, default_handler=str, double_precision=15)
    read = json.loads(text)
    return {"columns": [str(name) for name in read["columns"]], "data": read["data"]}


def to_mlflow(signature: Signature, frame: pd.DataFrame | None = None) -> Any:
    """Return MLflow's ``ModelSignature``, or None where nothing is known.

    Columns for which MLflow's types would refuse the training data itself (`frame`) are of any type there.
    """
    if signature["inputs"] is None:
        return None
    models = mlflow_door.module("models")
    outputs = signature["outputs"]
    untyped = set() if frame is None else _untyped(frame)
    return models.ModelSignature(
        inputs=_schema(signature["inputs"], untyped),
        outputs=None if outputs is None else _schema(outputs),
        params=_params(signature.get("params")),
    )


def _params(declared: list[dict[str, Any]] | None) -> Any:
    if not declared:
        return None
    types = mlflow_door.module("types")
    specs = [
        types.ParamSpec(one["name"], one["type"], one["default"], None if one["shape"] is None else tuple(one["shape"]))
        for one in declared
    ]
    return types.ParamSchema(specs)


def _untyped(frame: pd.DataFrame) -> set[str]:
    import pandas as pd

    kinds = (pd.CategoricalDtype, pd.DatetimeTZDtype)
    return {str(name) for name in frame.columns if isinstance(frame[name].dtype, kinds)}


def _schema(form: list[dict[str, Any]] | dict[str, Any], untyped: Collection[str] = ()) -> Any:
    import numpy as np

    types = mlflow_door.module("types")
    if isinstance(form, dict):
        tensor = form["tensor"]
        return types.Schema([types.TensorSpec(np.dtype(tensor["dtype"]), tuple(tensor["shape"]))])
    return types.Schema([_column(column, untyped) for column in form])


def _column(column: dict[str, Any], untyped: Collection[str]) -> Any:
    types = mlflow_door.module("types")
    kind = column["type"]
    # MLflow has no whole number or boolean with gaps.
    if column["name"] in untyped or (column["nullable"] and kind in ("long", "integer", "boolean")):
        return types.ColSpec(mlflow_door.module("types.schema").AnyType(), column["name"], required=False)
    return types.ColSpec(kind, column["name"])


def finite(value: Any) -> Any:
    """Return plain data with NaN and infinities as None (JSON has neither)."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return plain(value)


def write_example(model: Any, frame: pd.DataFrame, folder: Path) -> None:
    """Write the first rows as MLflow's input example."""
    rows = frame.head(EXAMPLE_ROWS)
    example = {"columns": [str(name) for name in rows.columns], "data": example_of(rows)["data"]}
    (folder / EXAMPLE).write_text(json.dumps(example))
    (folder / SERVING_EXAMPLE).write_text(json.dumps({"dataframe_split": example}))
    model.saved_input_example_info = {
        "artifact_path": EXAMPLE,
        "serving_input_path": SERVING_EXAMPLE,
        "type": "dataframe",
        "pandas_orient": "split",
    }
