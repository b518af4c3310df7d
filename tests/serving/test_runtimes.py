from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.base import BaseEstimator

from nbmlops.serving.bundle import read_bundle
from nbmlops.serving.decoding import make_decoder
from nbmlops.serving.documents import JSON
from nbmlops.serving.errors import ServingError
from nbmlops.serving.inputs import Generic
from nbmlops.serving.runtimes import make_runtime
from nbmlops.serving.runtimes.frames import data_frame, generic_frame
from nbmlops.serving.signature import Signature

from . import bundles

ROW = {"dataframe_split": {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}}


@pytest.mark.parametrize("kind", ["onnx", "skops", "cloudpickle"])
def test_every_runtime_answers_as_the_fitted_object(served, made, kind):
    rows = bundles.frame(40, seed=9)
    body = {"dataframe_split": rows.to_dict("split")}
    served.configure(("1", made(kind), 100))
    assert served.post(body).predictions == bundles.fitted().predict(rows).tolist()
    expected = bundles.fitted().predict_proba(rows)
    answer = served.post({**body, "params": {"output": "probabilities"}})
    np.testing.assert_allclose(answer.predictions, expected, atol=1e-6)
    assert answer.json["classes"] == [0, 1]
    both = served.post({**body, "params": {"output": "both"}}).predictions
    assert [row["label"] for row in both] == bundles.fitted().predict(rows).tolist()
    np.testing.assert_allclose([row["probabilities"] for row in both], expected, atol=1e-6)


def test_scikit_learn_itself_answers_with_the_same_bits(served, made):
    rows = bundles.frame(40, seed=9)
    served.configure(("1", made("skops"), 100))
    answer = served.post({"dataframe_split": rows.to_dict("split"), "params": {"output": "probabilities"}})
    assert answer.predictions == bundles.fitted().predict_proba(rows).tolist()


def test_a_model_without_probabilities_says_so(served, made):
    served.configure(("1", made("ten"), 100))
    answer = served.post({"inputs": {"x": [1.0]}, "params": {"output": "probabilities"}})
    assert (answer.status, answer.error["field"], answer.error["expected"]) == (422, "params.output", "label")


def test_a_tensor_model_takes_an_array(served, made):
    served.configure(("1", made("tensor"), 100))
    assert served.post({"inputs": [[1.0, 5.0], [7.0, 2.0]]}).predictions == [5.0, 7.0]
    assert served.post({"inputs": [[1.0]]}).status == 422


def test_an_untrusted_type_is_not_loaded(tmp_path):
    path = bundles.sklearn_bundle(tmp_path)
    document = json.loads((path / "bundle.json").read_text())
    document["model"]["trusted"] = []
    (path / "bundle.json").write_text(json.dumps(document))
    if bundles_untrusted(path):
        with pytest.raises(ServingError, match="can't be loaded"):
            make_runtime(read_bundle(path))


def bundles_untrusted(path):
    import skops.io

    return skops.io.get_untrusted_types(data=(path / "model/model.skops").read_bytes())


class Seen(BaseEstimator):
    """Answers with the dtypes that it was given."""

    def predict(self, rows):
        return np.array([json.dumps({name: str(dtype) for name, dtype in rows.dtypes.items()})] * len(rows))


def frame_of(columns, *rows):
    decoder = make_decoder(bundles_signature(columns))
    names = [column["name"] for column in columns]
    body = json.dumps({"dataframe_split": {"columns": names, "data": rows}}).encode()
    decoded = decoder.decode(body, JSON).data
    return data_frame(decoder.tabulate([decoded]), decoder_columns(decoder))


def bundles_signature(columns):
    from nbmlops.serving.signature import parse_signature

    return parse_signature({"inputs": columns})


def decoder_columns(decoder):
    return [codec.column for codec in decoder.codecs]


def test_the_frame_has_the_dtypes_of_training():
    columns = [
        {"name": "d", "type": "double"},
        {"name": "f", "type": "float"},
        {"name": "l", "type": "long"},
        {"name": "i", "type": "integer"},
        {"name": "b", "type": "boolean"},
        {"name": "s", "type": "string"},
        {"name": "t", "type": "datetime"},
        {"name": "n", "type": "long", "nullable": True, "dtype": "Int64"},
        {"name": "c", "type": "string", "dtype": "category", "categories": ["x", "y"]},
    ]
    frame = frame_of(columns, [1, 2, 3, 4, True, "a", "2013-01-01", None, "y"])
    text = str(pd.Series(["a"]).dtype)
    expected = ["float64", "float32", "int64", "int32", "bool", text, "datetime64[ns]", "Int64", "category"]
    assert [str(dtype) for dtype in frame.dtypes] == expected
    assert list(frame["c"].cat.categories) == ["x", "y"]
    assert frame["n"].isna().all()


def test_a_null_text_is_the_nan_that_pandas_reads_from_files():
    columns = [{"name": "s", "type": "string", "nullable": True}, {"name": "d", "type": "double"}]
    for rows in ([[None, 1.0]], [[None, 1.0], ["a", 2.0]]):
        frame = frame_of(columns, *rows)
        assert frame["s"].dtype == pd.Series(["a"]).dtype
        assert frame["s"].isna().tolist() == [row[0] is None for row in rows]
        assert frame["s"].iloc[0] is not None


def test_columns_of_one_dtype_make_one_block():
    frame = frame_of([{"name": "a", "type": "double"}, {"name": "b", "type": "double"}], [1, 2], [3, 4])
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]}))


@pytest.mark.parametrize(
    ("form", "data", "expected"),
    [
        ("dataframe_split", {"columns": ["a"], "data": [[1]], "index": [5]}, pd.DataFrame({"a": [1]}, index=[5])),
        ("dataframe_records", [{"a": 1}], pd.DataFrame({"a": [1]})),
        ("csv", {"columns": ["a", "b"], "data": [["1", "x"]]}, pd.DataFrame({"a": [1], "b": ["x"]})),
    ],
)
def test_generic_frames_are_what_mlflow_makes(form, data, expected):
    pd.testing.assert_frame_equal(generic_frame(Generic(form, data)), expected)


def test_generic_arrays_are_what_mlflow_makes():
    assert generic_frame(Generic("inputs", [[1, 2]])).tolist() == [[1, 2]]
    assert generic_frame(Generic("inputs", {"a": [1, 2]}))["a"].tolist() == [1, 2]
    assert generic_frame(Generic("instances", [{"a": 1}, {"a": 2}]))["a"].tolist() == [1, 2]
    assert generic_frame(Generic("inputs", "text")) == "text"


def test_a_model_without_signature_gets_what_was_sent(served, tmp_path):
    path = bundles.sklearn_bundle(tmp_path, Seen(), signature={"inputs": None}, serialization="cloudpickle")
    served.configure(("1", path, 1))
    answer = served.post({"dataframe_split": {"columns": ["a"], "data": [[1]]}})
    assert json.loads(answer.predictions[0]) == {"a": "int64"}
    assert served.post({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}).status == 422


def graph_bundle(folder, interface, **more):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("a", "b")]
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Sub", ["a", "b"], ["d"])]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("s", "d")]
    graph = helper.make_graph(nodes, "two", values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    columns = [{"name": name, "type": "double"} for name in ("a", "b")]
    files = {"model.onnx": model.SerializeToString()}
    signature = {"inputs": columns, "task": "regression", **more}
    return bundles.write(
        folder, files, runtime="onnx", model={"path": "model.onnx"}, signature=signature, onnx=interface
    )


def test_all_outputs_of_an_unknown_graph_are_answered(served, tmp_path):
    inputs = [{"name": name, "column": name} for name in ("a", "b")]
    served.configure(("1", graph_bundle(tmp_path, {"inputs": inputs}), 1))
    assert served.post({"inputs": {"a": [3], "b": [1]}}).predictions == {"s": [[4.0]], "d": [[2.0]]}


def test_two_axes_stay_where_the_fitted_model_had_them(served, tmp_path):
    inputs = [{"name": name, "column": name} for name in ("a", "b")]
    outputs = {"tensor": {"dtype": "float64", "shape": [-1, 1]}}
    path = graph_bundle(tmp_path, {"inputs": inputs, "label_output": "s"}, outputs=outputs)
    served.configure(("1", path, 1))
    assert served.post({"inputs": {"a": [3], "b": [1]}}).predictions == [[4.0]]


def test_a_null_never_turns_into_a_number(served, tmp_path):
    values = [helper.make_tensor_value_info("a", TensorProto.INT64, [None, 1])]
    results = [helper.make_tensor_value_info("y", TensorProto.INT64, [None, 1])]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["y"])], "same", values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    signature = {"inputs": [{"name": "a", "type": "long", "nullable": True}], "task": "regression"}
    path = bundles.write(
        tmp_path,
        {"model.onnx": model.SerializeToString()},
        runtime="onnx",
        model={"path": "model.onnx"},
        signature=signature,
        onnx={"inputs": [{"name": "a", "column": "a"}], "label_output": "y"},
    )
    served.configure(("1", path, 1))
    assert served.post({"inputs": {"a": [3]}}).predictions == [3]
    assert served.post({"inputs": {"a": [None]}}).status == 500


def test_code_of_the_bundle_is_importable(served, tmp_path):
    (tmp_path / "lib").mkdir()
    source = b"class Model:\n    def predict(self, rows):\n        return [7] * len(rows)\n"
    (tmp_path / "lib" / "bundled_module.py").write_bytes(source)
    sys.path.insert(0, str(tmp_path / "lib"))
    try:
        import cloudpickle
        from bundled_module import Model

        content = cloudpickle.dumps(Model())
    finally:
        sys.path.remove(str(tmp_path / "lib"))
        del sys.modules["bundled_module"]
    model = {"path": "model.pkl", "serialization": "cloudpickle"}
    files = {"model.pkl": content, "model/code/bundled_module.py": source}
    path = bundles.write(
        tmp_path / "b", files, runtime="sklearn", model=model, signature=bundles.SIGNATURE, code=["model/code"]
    )
    served.configure(("1", path, 1))
    try:
        assert served.post(ROW).predictions == [7]
    finally:
        sys.path.remove(str(path / "model/code"))


UNKNOWN = Signature(None, None, "other", None, None)


class Chances:
    """An object with both answers."""

    def predict(self, frame):
        return frame["a"] > 1

    def predict_proba(self, frame):
        return [[1 - a, a] for a in frame["a"] / 4]


class Pyfunc:
    """What mlflow's pyfunc gives away of the object within: nothing, or as one of its two kinds of flavour does."""

    def __init__(self, raw=None, python_model=None):
        self._raw, self._python_model = raw, python_model

    def predict(self, frame):
        return np.asarray(frame["a"] > 1)

    def get_raw_model(self):
        if self._raw is None:
            raise NotImplementedError
        return self._raw

    def unwrap_python_model(self):
        from mlflow.exceptions import MlflowException

        if self._python_model is None:
            raise MlflowException("no Python model")
        return self._python_model


class Answering:
    """As the registry wraps a plain object."""

    def __init__(self, model):
        self.model = model


@pytest.mark.parametrize(
    "model", [Pyfunc(raw=Chances()), Pyfunc(python_model=Answering(Chances())), Pyfunc(python_model=Chances())]
)
def test_a_pyfunc_answers_the_probabilities_of_the_object_within(model):
    from nbmlops.serving.runtimes.pyfunc import PyfuncRuntime

    runtime = PyfuncRuntime(model, UNKNOWN)
    rows = Generic("dataframe_records", [{"a": 1}, {"a": 3}])
    assert runtime.outputs == ("label", "probabilities", "both")
    assert runtime.predict(rows, "label").payload == [False, True]
    assert runtime.predict(rows, "probabilities").probabilities.tolist() == [[0.75, 0.25], [0.25, 0.75]]
    both = runtime.predict(rows, "both")
    assert both.labels.tolist() == [False, True]
    assert both.probabilities.tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_a_pyfunc_without_probabilities_offers_labels_alone():
    from nbmlops.serving.runtimes.pyfunc import PyfuncRuntime

    assert PyfuncRuntime(Pyfunc(), UNKNOWN).outputs == ("label",)
    assert PyfuncRuntime(Pyfunc(python_model=Answering(len)), UNKNOWN).outputs == ("label",)
