from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from nbmlops.capture import fingerprint
from nbmlops.capture.column_profile import sample


def profile(values) -> dict:
    found = dict(fingerprint({"a": values}).profile["a"])
    json.dumps(found, allow_nan=False)
    return found


def test_numbers() -> None:
    values = np.random.default_rng(1).normal(size=1001)
    found = profile(values)
    assert found["type"] == "number"
    assert found["distinct"] == 1001
    assert found["missing"] == 0
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert found["mean"] == pytest.approx(values.mean())
    assert found["std"] == pytest.approx(values.std())
    assert found["quantiles"] == {
        f"{level:g}": pytest.approx(np.quantile(values, level)) for level in (0.05, 0.25, 0.5, 0.75, 0.95)
    }


def test_missing_and_infinite_values_are_counted_and_left_out() -> None:
    found = profile([1.0, math.nan, math.inf, -math.inf, 3.0])
    assert (found["missing"], found["infinite"], found["min"], found["max"], found["mean"]) == (1, 2, 1.0, 3.0, 2.0)
    assert found["distinct"] == 2


def test_sums_beyond_all_bounds_are_left_out() -> None:
    found = profile([1e308, 1e308])
    assert (found["mean"], found["max"]) == (None, 1e308)


def test_a_column_with_nothing_in_it() -> None:
    assert profile([math.nan, math.nan]) == {"type": "number", "missing": 2, "distinct": 0}
    assert profile(pd.Series([None], dtype="str")) == {"type": "text", "missing": 1, "distinct": 0, "top": []}
    assert profile(pd.to_datetime([None])) == {"type": "datetime", "missing": 1, "distinct": 0}


def test_large_integers_stay_within_what_json_carries() -> None:
    found = profile([2**62, 2**62 + 1])
    assert found["min"] == float(2**62)
    assert found["distinct"] == 2


def test_booleans() -> None:
    assert profile([True, False, True]) == {"type": "boolean", "missing": 0, "distinct": 2, "true": 2, "false": 1}


def test_moments_and_durations() -> None:
    found = profile(pd.to_datetime(["2013-01-01", "2013-03-01", None, "2013-02-01"]))
    assert (found["type"], found["missing"], found["distinct"]) == ("datetime", 1, 3)
    assert found["min"].startswith("2013-01-01")
    assert found["quantiles"]["0.5"].startswith("2013-02-01")
    assert profile(pd.to_timedelta([1, 2], unit="s"))["type"] == "duration"


def test_texts_and_categories_by_their_most_frequent_values() -> None:
    found = profile(["b", "a", "b", None, "x" * 200])
    assert (found["type"], found["missing"], found["distinct"]) == ("text", 1, 3)
    assert found["top"][0] == {"value": "b", "count": 2}
    assert max(len(one["value"]) for one in found["top"]) == 100
    categories = profile(pd.Categorical(["b", "a", "b", None], ["c", "b", "a"]))
    assert categories == {
        "type": "category",
        "missing": 1,
        "distinct": 2,
        "top": [{"value": "b", "count": 2}, {"value": "a", "count": 1}],
    }
    assert profile(pd.Categorical([3, 3, 4]))["top"][0] == {"value": "3", "count": 2}


def test_objects_are_only_counted() -> None:
    assert profile([[1], None]) == {"type": "object", "missing": 1, "distinct": None}


def test_the_sample_is_drawn_over_the_whole_and_the_same_each_time() -> None:
    rows = sample(1_000_000, 1_000)
    assert (rows == sample(1_000_000, 1_000)).all()
    assert 990 <= len(rows) <= 1_000
    assert (np.histogram(rows, bins=10, range=(0, 1_000_000))[0] > 90).all()
    assert len(np.unique(rows)) == len(rows)
    assert (sample(5) == np.arange(5)).all()
    assert sample(1_001, 1_000).max() <= 1_000


def test_a_long_column_is_counted_exactly_where_it_says_so() -> None:
    values = np.arange(200_000.0)
    found = fingerprint({"a": values})
    assert 99_000 < found.sampled <= 100_000
    assert found.profile["a"]["max"] == 199_999
    assert found.profile["a"]["mean"] == pytest.approx(values.mean())
    assert found.profile["a"]["quantiles"]["0.5"] == pytest.approx(100_000, rel=0.01)
    assert fingerprint({"a": values}, profile=False).profile == {}
