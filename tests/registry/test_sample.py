"""The reference sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from nbmlops.registry import sample
from nbmlops.registry.records import Reference


def big(rows: int) -> pd.DataFrame:
    wind = np.arange(float(rows))
    wind[rows - 1] = np.nan
    carrier = np.array(["AA"] * rows, dtype=object)
    carrier[rows // 2] = "rare"
    return pd.DataFrame({"n": np.arange(rows), "wind": wind, "carrier": carrier})


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 400), most=st.integers(5, 100))
def test_it_is_in_order_without_repeats_and_never_larger(rows: int, most: int) -> None:
    drawn = sample.draw(big(rows), most)
    assert len(drawn) == min(rows, most)
    assert drawn["n"].is_monotonic_increasing
    assert drawn["n"].is_unique
    pd.testing.assert_frame_equal(drawn, sample.draw(big(rows), most))


def test_rows_with_nulls_and_rare_categories_are_always_in_it() -> None:
    drawn = sample.draw(big(50_000), 50)
    assert drawn["wind"].isna().sum() == 1
    assert set(drawn["carrier"]) == {"AA", "rare"}


def test_it_is_drawn_over_all_the_data() -> None:
    drawn = sample.draw(big(100_000), 1000)
    counts = np.histogram(drawn["n"], bins=10, range=(0, 100_000))[0]
    assert counts.min() > 60


def test_it_survives_being_stored(tmp_path: Path) -> None:
    inputs = pd.DataFrame(
        {
            "carrier": pd.Series(["AA", None], dtype="category"),
            "count": pd.Series([1, None], dtype="Int64"),
            "when": pd.to_datetime(["2013-01-01", "2013-01-02"], utc=True),
        }
    )
    for predictions in (np.array(["late", "on time"]), np.array([[1.5, 2], [3, 4]]), np.array([True, False])):
        reference = Reference(inputs, predictions, np.array([[0.2, 0.8], [0.1, 0.9]]), ["late", "on time"])
        digest = sample.write(reference, tmp_path)
        again = sample.read(tmp_path)
        assert again is not None
        pd.testing.assert_frame_equal(again.inputs, inputs)
        np.testing.assert_array_equal(again.predictions, predictions)
        assert again.predictions.dtype == predictions.dtype
        np.testing.assert_array_equal(again.probabilities, reference.probabilities)
        assert (again.classes, again.digest) == (["late", "on time"], digest)


def test_none_was_stored(tmp_path: Path) -> None:
    assert sample.read(tmp_path) is None
