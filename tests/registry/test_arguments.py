from __future__ import annotations

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from nbmlops.registry import arguments, formats, layout, signature, tables
from nbmlops.registry.preparing import answered


def score(rows, threshold=0.5, *, top=3, exact=False, name="a", words=("x", "y"), other=None, mixed=(1, "a"), **rest):
    return rows["a"] * 0 + threshold + top


class Scores:
    def predict(self, rows, offset: int = 1):
        return rows["a"] + offset


def test_arguments_with_telling_defaults_are_parameters():
    assert arguments.declared(score) == [
        {"name": "threshold", "type": "double", "default": 0.5, "shape": None},
        {"name": "top", "type": "long", "default": 3, "shape": None},
        {"name": "exact", "type": "boolean", "default": False, "shape": None},
        {"name": "name", "type": "string", "default": "a", "shape": None},
        {"name": "words", "type": "string", "default": ["x", "y"], "shape": [-1]},
    ]
    assert [one["name"] for one in arguments.declared(Scores())] == ["offset"]


@pytest.mark.parametrize("obj", [LinearRegression(), len, lambda rows: rows])
def test_others_declare_none(obj):
    assert arguments.declared(obj) == []
    assert "params" not in signature.infer(obj, None, None)


@pytest.mark.parametrize(("obj", "given", "expected"), [(score, {"top": 5}, 5.5), (Scores(), {"offset": 10}, 11)])
def test_mlflow_alone_hands_them_over(tmp_path, obj, given, expected):
    import mlflow.pyfunc
    from mlflow.models import Model

    rows = pd.DataFrame({"a": [1]})
    known = signature.infer(obj, tables.read(rows, "", None), answered(obj, rows))
    laid = layout.Layout(tmp_path, Model(signature=signature.to_mlflow(known, rows)), [])
    formats.write(obj, "python", laid)
    laid.model.save(str(tmp_path / "MLmodel"))
    model = mlflow.pyfunc.load_model(str(tmp_path))
    assert list(model.predict(rows, params=given)) == [expected]
    assert list(model.predict(rows)) == list(obj.predict(rows) if hasattr(obj, "predict") else obj(rows))
