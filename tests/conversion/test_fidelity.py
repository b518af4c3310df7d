from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.conversion import agreement
from nbmlops.registry import Reference


def classified(labels, probabilities=None) -> Reference:
    return Reference(pd.DataFrame(), np.asarray(labels), probabilities, ["no", "yes"])


def regressed(values) -> Reference:
    return Reference(pd.DataFrame(), np.asarray(values), None, None)


def pairs(p) -> np.ndarray:
    p = np.asarray(p, dtype=float)
    return np.stack([1 - p, p], axis=1)


def test_equal_answers_agree():
    found = agreement(classified(["no", "yes"], pairs([0.2, 0.9])), ["no", "yes"], pairs([0.2, 0.9]))
    assert found.agrees
    assert (found.rows, found.labels_equal, found.labels_different, found.max_difference) == (2, 2, 0, 0.0)


def test_one_other_label_is_a_disagreement_however_close_the_probabilities_are():
    found = agreement(classified(["no", "yes"], pairs([0.49, 0.9])), ["yes", "yes"], pairs([0.49, 0.9]))
    assert not found.agrees
    assert (found.labels_equal, found.labels_different, found.ties, found.worst) == (1, 1, 0, (0,))


@pytest.mark.parametrize(("p", "ties"), [(0.5, 1), (0.5 - 4e-6, 1), (0.5 - 6e-6, 0)])
def test_a_label_as_likely_as_the_fitted_one_is_a_tie_and_counted_apart(p, ties):
    found = agreement(classified(["no", "yes"], pairs([p, 0.9])), ["yes", "yes"], pairs([p, 0.9]))
    assert found.agrees is bool(ties)
    assert (found.labels_equal, found.labels_different, found.ties) == (1, 1 - ties, ties)


@pytest.mark.parametrize("label", ["unlikely", "unheard of"])
def test_a_tie_is_between_the_likeliest_alone(label):
    reference = Reference(pd.DataFrame(), np.array(["a"]), np.array([[0.2, 0.4, 0.4]]), ["unlikely", "a", "b"])
    assert agreement(reference, ["b"], reference.probabilities).ties == 1
    assert agreement(reference, [label], reference.probabilities).labels_different == 1


def test_the_difference_of_all_but_one_in_a_thousand_stands_beside_the_largest():
    p = np.full(2000, 0.2)
    shifted = p + np.where(np.arange(2000) < 1, 0.3, 1e-6)
    found = agreement(classified(["no"] * 2000, pairs(p)), ["no"] * 2000, pairs(shifted))
    assert found.max_difference == pytest.approx(0.3)
    assert found.p999_difference == pytest.approx(1e-6)


@pytest.mark.parametrize(("shift", "agrees"), [(9e-6, True), (1.1e-5, False)])
def test_a_probability_may_differ_by_the_tolerance_and_no_more(shift, agrees):
    found = agreement(classified(["no", "no"], pairs([0.2, 0.3])), ["no", "no"], pairs([0.2, 0.3 + shift]))
    assert found.agrees is agrees
    assert found.worst[0] == 1


def test_missing_probabilities_are_a_disagreement():
    assert not agreement(classified(["no"], pairs([0.2])), ["no"], None).agrees


def test_probabilities_in_another_shape_are_a_disagreement():
    assert not agreement(classified(["no"], pairs([0.2])), ["no"], np.array([0.2])).agrees


def test_an_empty_sample_proves_nothing():
    assert not agreement(classified([]), []).agrees


def test_labels_of_other_width_and_container_are_the_same():
    assert agreement(classified(np.array(["no", "yes"])), np.array(["no", "yes"], dtype=object)).agrees
    assert agreement(classified(np.array([0, 1], dtype=np.int64)), np.array([0, 1], dtype=np.int32)).agrees


def test_a_regression_is_measured_against_the_value():
    assert agreement(regressed([1e6, 2.0]), [1e6 + 5, 2.0]).agrees
    found = agreement(regressed([1e6, 2.0]), [1e6 + 50, 2.0])
    assert not found.agrees
    assert found.labels_different == 1


def test_a_tiny_unit_of_measure_hides_nothing():
    assert not agreement(regressed([1e-7, 2e-7]), [1e-7, 3e-7]).agrees


def test_a_column_of_values_is_the_same_as_the_values():
    assert agreement(regressed([1.0, 2.0]), np.array([[1.0], [2.0]])).agrees


def test_several_outputs_are_compared_each():
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert agreement(regressed(expected), expected).agrees
    assert not agreement(regressed(expected), expected + np.array([[0, 0], [0, 1]])).agrees


@pytest.mark.parametrize("received", [[np.nan, 2.0], [np.inf, 2.0]])
def test_nan_and_infinity_on_one_side_disagree(received):
    found = agreement(regressed([1.0, 2.0]), received)
    assert not found.agrees
    assert found.max_difference > 1e300
    assert np.isfinite(found.max_difference)


def test_nan_on_both_sides_agrees():
    assert agreement(regressed([np.nan, 2.0]), [np.nan, 2.0]).agrees


@given(
    arrays.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6)),
    st.data(),
)
def test_a_change_beyond_the_tolerance_is_always_found(values, data):
    assert agreement(regressed(values), values).agrees
    changed = values.copy()
    place = data.draw(st.integers(0, len(values) - 1))
    changed[place] += max(abs(values[place]), 1.0) * data.draw(st.floats(1e-4, 1e3))
    found = agreement(regressed(values), changed)
    assert not found.agrees
    assert found.worst == (place,)
