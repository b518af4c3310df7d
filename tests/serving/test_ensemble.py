from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving.ensemble import Combination, combination, merged_signature
from nbmlops.serving.errors import ModelFailed, ServingError
from nbmlops.serving.inputs import Table
from nbmlops.serving.outputs import Outputs
from nbmlops.serving.signature import Column, Signature, TensorSpec


def signature(*columns: Column, task: str = "regression", classes: list | None = None) -> Signature:
    return Signature(columns=columns or (Column("x", "double"),), tensor=None, task=task, classes=classes, example=None)


def combined(how: str, weights: list[float], task: str = "regression", classes: list | None = None) -> Combination:
    return combination(how, weights, [signature(task=task, classes=classes)] * len(weights))


def member(name, path, weight):
    return {"model": name, "version": "1", "bundle": str(path), "weight": weight}


def served_by(served, paths, **more):
    arm = {"name": "a+b", "model": "e", "version": "1", "bundle": str(paths[0][1]), **more}
    arm["members"] = [member(name, path, weight) for name, path, weight in paths]
    served.run(served.control.configure({"endpoint": "e", "token": None, "arms": [arm]}))


def test_the_answer_is_numpys_weighted_mean(served, made):
    served_by(served, [("a", made("ten"), 3.0), ("b", made("twenty"), 1.0)])
    answer = served.post({"inputs": {"x": [1.0, 2.5]}})
    assert answer.predictions == np.average([[11.0, 12.5], [21.0, 22.5]], axis=0, weights=[3, 1]).tolist()
    assert served.get("/version").json["arms"][0]["members"] == ["a/1", "b/1"]


def test_probabilities_have_a_mean_and_the_label_is_the_most_probable_class(served, made):
    served_by(served, [("a", made("onnx"), 1.0), ("b", made("onnx"), 2.0)])
    alone = served.application.router.arms["a+b"]
    row = {"columns": ["distance", "hour", "carrier"], "data": [[500.0, 7, "AA"]]}
    both = served.post({"dataframe_split": row, "params": {"output": "both"}}).predictions[0]
    assert both["label"] == alone.classes[int(np.argmax(both["probabilities"]))]
    assert sum(both["probabilities"]) == pytest.approx(1.0)
    assert served.post({"dataframe_split": row}).predictions == [both["label"]]


def test_columns_of_another_order_reach_each_member_in_its_own():
    a, b = Column("a", "double"), Column("b", "double")
    made = combination("mean", [1, 1], [signature(a, b), signature(b, a)])
    table = Table.of(("a", "b"), [np.array([1.0]), np.array([2.0])])
    first, second = made.inputs(table)
    assert first is table
    assert (second.names, [column.item() for column in second.columns]) == (("b", "a"), [2.0, 1.0])


values = st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3)


@given(st.lists(values, min_size=2, max_size=5), st.data())
def test_any_mean_is_numpys(rows, data):
    weights = data.draw(st.lists(st.floats(0.01, 100), min_size=len(rows), max_size=len(rows)))
    answer = combined("mean", weights).combine([Outputs(np.array(row)) for row in rows], "label")
    assert np.array_equal(answer.labels, np.average(np.array(rows), axis=0, weights=weights))


def test_a_vote_takes_the_label_with_the_most_weight():
    made = combined("vote", [1, 1, 1.5], "classification", ["x", "y"])
    answers = [Outputs(np.array(labels)) for labels in (["x", "x"], ["x", "y"], ["y", "y"])]
    assert made.combine(answers, "label").labels.tolist() == ["x", "y"]
    assert made.outputs == ("label",)


def test_members_that_differ_are_refused():
    x, y = Column("x", "double"), Column("y", "double")
    with pytest.raises(ServingError, match="not all of them take y"):
        combination("mean", [1, 1], [signature(x), signature(x, y)])
    with pytest.raises(ServingError, match="'x' has different types"):
        combination("mean", [1, 1], [signature(x), signature(Column("x", "string"))])
    with pytest.raises(ServingError, match="different classes"):
        combination("mean", [1, 1], [signature(x, task="classification", classes=[value]) for value in (1, 2)])
    with pytest.raises(ServingError, match="for regression, another for classification"):
        combination("mean", [1, 1], [signature(x), signature(x, task="classification", classes=[1])])
    tensors = [Signature(None, TensorSpec("float64", [-1, width]), "regression", None, None) for width in (2, 3)]
    with pytest.raises(ServingError, match="different tensors"):
        combination("mean", [1, 1], tensors)


def test_only_what_all_members_take_is_taken():
    loose, strict = Column("x", "double", required=False, nullable=True), Column("x", "double")
    merged = merged_signature([signature(loose), signature(strict)]).columns[0]
    assert (merged.required, merged.nullable) == (True, False)


def test_the_answers_of_workers_are_combined_too():
    sent = Outputs(payload=msgspec.Raw(b"[1.0, 3.0]"))
    assert combined("mean", [1, 1]).combine([sent, Outputs(np.array([2.0, 4.0]))], "label").labels.tolist() == [
        1.5,
        3.5,
    ]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([Outputs(np.array([1.0])), Outputs(np.array([1.0, 2.0]))], "shapes"),
        ([Outputs(np.array(["a"])), Outputs(np.array(["b"]))], "no mean"),
        ([Outputs(payload={"a": 1}), Outputs(np.array([1.0]))], "neither numbers nor labels"),
        ([Outputs(payload=[{"a": 1}]), Outputs(np.array([1.0]))], "neither numbers nor labels"),
    ],
)
def test_answers_that_have_no_mean_are_a_failure_of_the_model(answers, reason):
    with pytest.raises(ModelFailed) as caught:
        combined("mean", [1, 1]).combine(answers, "label")
    assert reason in caught.value.traceback
