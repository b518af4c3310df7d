"""To the bit, and in units in the last place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbmlops.deployment.identity import BOUND, Identity, identity
from nbmlops.registry import Reference


def expected(predictions, probabilities=None) -> Reference:
    rows = pd.DataFrame({"x": range(len(predictions))})
    return Reference(rows, np.asarray(predictions), probabilities, None)


@given(arrays.arrays(st.sampled_from([np.float32, np.float64]), st.integers(1, 20), elements={"allow_nan": True}))
def test_the_same_values_are_identical_whatever_they_are(values: np.ndarray) -> None:
    assert identity(expected(values), values.astype(float)) == Identity(len(values), len(values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_difference_is_counted_in_units_of_the_expected_values_own_type(dtype, steps: int) -> None:
    values = np.array([1.0, 1.5], dtype=dtype)
    moved = values.copy()
    for _ in range(steps):
        moved[1] = np.nextafter(moved[1], dtype(2))
    assert identity(expected(values), moved) == Identity(2, 1, float(steps), (1,))


def test_near_zero_the_unit_is_that_of_the_values_around() -> None:
    values = np.array([1.0, 1e-12])
    assert identity(expected(values), values + np.array([0, 1e-17])).holds
    assert not identity(expected(values), values + np.array([0, 1e-12])).holds


@pytest.mark.parametrize(
    ("answers", "given", "identical"),
    [
        (["late", "on time"], ["late", "late"], 1),
        ([1, 0], [1, 0], 2),
        ([1, 0], [1.0, 0.0], 2),
        ([True, False], [True, True], 1),
        ([1.0, np.nan], [1.0, 2.0], 1),
        ([1.0, 2.0], [1.0, np.nan], 1),
        ([1.0, 2.0], ["1.0", "x"], 0),
        ([1.0, 2.0], [1.0], 0),
    ],
)
def test_a_label_is_the_same_or_it_is_not(answers, given, identical: int) -> None:
    found = identity(expected(answers), given)
    assert (found.identical, found.holds) == (identical, identical == 2)


def test_a_column_of_one_is_a_row_of_values() -> None:
    assert identity(expected(np.array([[1.0], [2.0]])), [1.0, 2.0]).identical == 2


def test_probabilities_count_as_well() -> None:
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]])
    reference = expected([1, 0], probabilities)
    assert identity(reference, [1, 0], probabilities).identical == 2
    moved = probabilities + np.array([[0, 0], [0, 2**-50]])
    assert identity(reference, [1, 0], moved) == Identity(2, 1, 8.0, (1,))
    assert not identity(reference, [1, 0], None).holds


def test_the_bound_is_a_bound() -> None:
    at = 1.0 + BOUND * np.spacing(1.0)
    assert identity(expected([1.0]), [at]).holds
    assert not identity(expected([1.0]), [at + np.spacing(1.0)]).holds
