from __future__ import annotations

import pytest
from sklearn.linear_model import LogisticRegression

from nbmlops.conversion import Speed
from nbmlops.conversion import speed as measuring
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.conversion.speed import speed
from tests.conversion.conftest import make_case


@pytest.fixture
def plain(flights, late):
    return make_case(LogisticRegression(), flights[["distance", "wind"]], late)


def measured(case, **options):
    onnx = SklearnConverter().convert(case.model, case.signature)
    rows = case.reference.inputs
    return speed(case.model, onnx, rows, frame=rows, **options)


def test_both_are_measured_at_every_size_however_few_rows_there_are(plain):
    found = measured(plain)
    assert found.rows == (1, 32, 1000, 10_000)
    assert min(*found.fitted_ms, *found.onnx_ms) > 0


def test_a_size_that_would_take_too_long_is_not_claimed(plain, monkeypatch):
    monkeypatch.setattr(measuring, "LONGEST", 0.0)
    found = measured(plain)
    assert found.rows == (1, 32)
    assert str(found).endswith("× at 32 rows")


def test_the_typical_size_is_measured_too(plain):
    assert measured(plain, sizes=(1, 7)).rows == (1, 7)


def test_what_is_said_of_a_size_was_measured_there_or_nearest_to_it():
    found = Speed(rows=(1, 1000), fitted_ms=(2.0, 3.0), onnx_ms=(1.0, 6.0))
    assert found.ratios == {1: 2.0, 1000: 0.5}
    assert (found.at(1), found.at(10), found.at(300)) == (2.0, 2.0, 0.5)
    assert str(found) == "2 × at 1 row, 0.5 × at 1,000 rows"
