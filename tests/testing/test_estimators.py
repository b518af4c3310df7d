"""The matrix's own check must notice what is wrong: a conversion that it lets through is taken for right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnx import ModelProto

from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.testing.estimators import CATALOGUE, named
from nbmlops.testing.estimators.answers import Answers, differences, other_labels
from nbmlops.testing.estimators.checking import check
from nbmlops.testing.estimators.edges import edges

WIND = 1  # place of the column


@pytest.fixture(scope="module")
def tree():
    return named("decision tree").fitted()


@pytest.fixture(scope="module")
def linear():
    return named("logistic regression, true and false").fitted()


def converted(fitted):
    return SklearnConverter().convert(fitted.model, fitted.signature)


def test_the_catalogue_is_wide_and_no_name_stands_for_two_cases():
    assert len({case.name for case in CATALOGUE}) == len(CATALOGUE) >= 40
    assert {case.family for case in CATALOGUE} >= {
        "linear", "trees", "forests", "boosting", "kernels", "neighbours", "naive Bayes", "neural networks", "columns",
        "preprocessing", "ensembles", "texts", "many outputs", "anomaly",
    }  # fmt: skip
    assert {case.needs for case in CATALOGUE} >= {"xgboost", "lightgbm", "catboost"}


def test_a_case_gives_the_same_rows_each_time_and_fresh_ones_for_the_check(tree):
    again = named("decision tree").fitted()
    assert again.reference.inputs.equals(tree.reference.inputs)
    assert (again.reference.predictions == tree.reference.predictions).all()
    fresh = tree.fresh(500)
    assert fresh.equals(tree.fresh(500))
    assert fresh.merge(tree.reference.inputs).empty


def test_edges_are_adjacent_numbers_with_another_answer(tree):
    near = edges(tree, tree.fresh(300), 10)
    assert len(near) == 20
    low, high = near[:10].reset_index(drop=True), near[10:].reset_index(drop=True)
    moved = (low != high).to_numpy()
    assert (moved.sum(axis=1) == 1).all()
    left, right = low.to_numpy(dtype=float)[moved], high.to_numpy(dtype=float)[moved]
    assert (np.nextafter(left, right) == right).all()
    before, after = tree.model.predict_proba(low), tree.model.predict_proba(high)
    assert (np.abs(before - after).max(axis=1) > 0).all()


def test_a_right_conversion_passes(tree, linear):
    for fitted in (tree, linear):
        verdict = check(fitted, converted(fitted), 500)
        assert verdict.wrong == 0, verdict
        assert verdict.rows >= 500


def test_thresholds_moved_by_the_smallest_step_are_found_at_the_edges_alone(tree):
    onnx = converted(tree)
    graph = ModelProto.FromString(onnx.content)
    nodes = next(node for node in graph.graph.node if node.op_type == "TreeEnsembleClassifier")
    attributes = {one.name: one for one in nodes.attribute}
    values = attributes["nodes_values"].floats
    for place, feature in enumerate(attributes["nodes_featureids"].ints):
        if feature == WIND:
            values[place] = np.nextafter(np.float32(values[place]), np.float32(np.inf))
    wrong = replace(onnx, content=graph.SerializeToString())
    assert check(tree, wrong, 500, pairs=0).wrong == 0, "not by chance"
    verdict = check(tree, wrong, 500, pairs=60)
    assert verdict.wrong > 0
    assert "expected" in str(verdict)
    assert "distance=" in str(verdict)


def test_a_coefficient_that_is_off_by_a_thousandth_is_found(linear):
    onnx = converted(linear)
    graph = ModelProto.FromString(onnx.content)
    node = next(one for one in graph.graph.node if one.op_type == "LinearClassifier")
    coefficients = next(one for one in node.attribute if one.name == "coefficients")
    coefficients.floats[WIND] *= 1.001
    assert check(linear, replace(onnx, content=graph.SerializeToString()), 500).wrong > 0


def test_ties_are_no_other_label_and_what_can_not_be_compared_is_wrong():
    expected = Answers(np.array([["a"], ["a"]]), np.array([[0.5, 0.5], [0.9, 0.1]]), np.array([0.0, 0.8]))
    received = Answers(np.array([["b"], ["b"]]), np.array([[0.5, 0.5], [0.9, 0.1]]))
    assert other_labels(expected, received).tolist() == [False, True]
    assert other_labels(expected, Answers(np.array([["a", "a"]] * 2))).all()
    assert np.isinf(differences(expected, Answers(received.labels), values=False)).all()
    nan = Answers(np.array([[np.nan], [2.0]]))
    assert differences(Answers(np.array([[1.0], [1.0]])), nan, values=True).tolist() == [np.inf, 1.0]
    assert differences(nan, nan, values=True).tolist() == [0.0, 0.0]
