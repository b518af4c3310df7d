from __future__ import annotations

import numpy as np
import pytest
import yaml

from nbmlops.packaging.contents import plan
from nbmlops.registry import mlmodel


def stored(**sides):
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, Schema

    made = {name: ParamSchema(specs) if name == "params" else Schema(specs) for name, specs in sides.items()}
    return {"signature": ModelSignature(**made).to_dict()}


def test_columns_and_parameters_are_read():
    from mlflow.types import ColSpec, ParamSpec

    found = mlmodel.signature(
        stored(
            inputs=[ColSpec("double", "x"), ColSpec("string", "s", required=False)],
            outputs=[ColSpec("long", "y")],
            params=[
                ParamSpec("since", "datetime", np.datetime64("2020-01-01T00:00:00")),
                ParamSpec("n", "long", [1], (-1,)),
            ],
        )
    )
    assert found["inputs"] == [
        {"name": "x", "type": "double", "required": True, "nullable": False},
        {"name": "s", "type": "string", "required": False, "nullable": True},
    ]
    assert found["outputs"] == [{"name": "y", "type": "long", "required": True, "nullable": False}]
    assert found["params"] == [
        {"name": "since", "type": "datetime", "default": "2020-01-01T00:00:00", "shape": None},
        {"name": "n", "type": "long", "default": [1], "shape": [-1]},
    ]


def test_tensors_are_read():
    from mlflow.types import TensorSpec

    one = TensorSpec(np.dtype("float32"), (-1, 2))
    assert mlmodel.signature(stored(inputs=[one]))["inputs"] == {"tensor": {"dtype": "float32", "shape": [-1, 2]}}
    named = [TensorSpec(np.dtype("float32"), (-1, 2), "a"), TensorSpec(np.dtype("int64"), (-1,), "b")]
    assert mlmodel.signature(stored(inputs=named))["inputs"] == {
        "tensors": [
            {"dtype": "float32", "shape": [-1, 2], "name": "a"},
            {"dtype": "int64", "shape": [-1], "name": "b"},
        ]
    }


@pytest.mark.parametrize("kind", ["unnamed", "list", "none"])
def test_what_has_no_form_here_is_passed_on_as_it_comes(kind):
    from mlflow.types import ColSpec
    from mlflow.types.schema import Array, DataType

    specs = {"unnamed": [ColSpec("double")], "list": [ColSpec(Array(DataType.double), "x")], "none": None}[kind]
    document = {} if specs is None else stored(inputs=specs)
    assert mlmodel.signature(document)["inputs"] is None


def test_a_bundle_of_a_version_that_mlflow_alone_registered_has_its_signature(tmp_path):
    from mlflow.types import ColSpec

    flavors = {"python_function": {"loader_module": "mine"}}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, **stored(inputs=[ColSpec("double", "x")])}))
    signature = plan(tmp_path, {}, {}).manifest["signature"]
    assert signature["inputs"] == [{"name": "x", "type": "double", "required": True, "nullable": False}]
