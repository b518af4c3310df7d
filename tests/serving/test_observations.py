from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving import observations
from nbmlops.serving.observations import Observations

PREDICTIONS = st.one_of(
    st.none(),
    st.floats(width=64).map(lambda value: np.array([value])),
    st.text(max_size=3).map(lambda value: np.array([value], dtype=object)),
    st.integers(-5, 5).map(lambda value: np.array([value])),
    st.booleans().map(lambda value: np.array([value])),
)
REQUESTS = st.lists(st.tuples(st.floats(1e-7, 1e7), st.booleans(), PREDICTIONS), max_size=30)


def counted(requests):
    seen = Observations()
    for seconds, failed, predictions in requests:
        seen.observe(seconds, failed, predictions)
    return seen


@given(REQUESTS, REQUESTS, REQUESTS)
def test_counts_of_several_processes_are_those_of_one(first, second, third):
    parts = [counted(one) for one in (first, second, third)]
    whole = counted(first + second + third)
    assert Observations.merged(parts) == whole
    assert parts[0] + (parts[1] + parts[2]) == (parts[2] + parts[1]) + parts[0] == whole
    assert parts[0] == counted(first)


@given(REQUESTS)
def test_counts_survive_json(requests):
    seen = counted(requests)
    assert Observations.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


@given(st.floats(1e-6, 1e6, exclude_min=True, exclude_max=True))
def test_a_latency_lies_in_its_bucket_which_is_narrow(seconds):
    bucket = observations.latency_bucket(seconds)
    low, high = observations.edge(bucket), observations.edge(bucket + 1)
    assert low <= seconds < high
    assert high / low <= 1.0626


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 1e9, 1e-12])
def test_an_odd_latency_is_counted_at_an_end(seconds):
    bucket = observations.latency_bucket(seconds)
    assert bucket in (observations.latency_bucket(1e-6), observations.latency_bucket(1e6))


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=20))
def test_larger_numbers_are_in_no_smaller_bucket(values):
    buckets = [observations.number_bucket(value) for value in sorted(values)]
    assert buckets == sorted(buckets)
    assert all(abs(bucket) <= observations.NUMBERS for bucket in buckets)
    assert [observations.number_bucket(-value) for value in sorted(values)] == [-bucket for bucket in buckets]


def test_numbers_that_differ_are_told_apart_at_every_size():
    for exponent in range(-32, 30):
        assert observations.number_bucket(2.0**exponent) + 16 == observations.number_bucket(2.0 ** (exponent + 1))
    assert observations.number_bucket(2.0**-33) == 1
    assert observations.number_bucket(0.0) == observations.number_bucket(2.0**-34) == 0
    assert observations.number_bucket(math.inf) == observations.number_bucket(1e300) == observations.NUMBERS


@given(st.lists(st.floats(1e-4, 10), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_that_of_the_values_to_a_bucket(values, share):
    seen = counted((value, False, None) for value in values)
    exact = np.quantile(values, share, method="inverted_cdf")
    assert observations.percentile(seen.latencies, share) == pytest.approx(exact, rel=0.035)


def test_nothing_has_no_percentile():
    assert observations.percentile({}, 0.5) is None


def test_a_failed_request_is_an_error_and_nothing_else():
    seen = counted([(30.0, True, np.array([1.0]))])
    assert (seen.requests, seen.errors, seen.latencies, seen.numbers) == (1, 1, {}, {})


def test_a_request_counts_once_however_many_rows_it_has():
    seen = counted([(0.01, False, np.array(["a", "b", "a"])), (0.01, False, np.array([], dtype=float))])
    assert (seen.requests, seen.labels) == (2, {"a": 1})


def test_of_probabilities_the_second_class_or_the_most_probable_is_counted():
    pair, several = np.array([[0.25, 0.75]]), np.array([[0.1, 0.2, 0.7]])
    seen = counted([(0.01, False, pair), (0.01, False, several)])
    assert seen.numbers == {observations.number_bucket(0.75): 1}
    assert seen.labels == {"2": 1}


def test_of_other_shapes_the_first_value_is_counted():
    column, names, deep = np.array([[0.5], [0.1]]), np.array([["a", "b", "c"]]), np.full((1, 2, 2), 0.5)
    seen = counted((0.01, False, values) for values in (column, names, deep))
    assert (seen.numbers, seen.labels) == ({observations.number_bucket(0.5): 2}, {"a": 1})


def test_what_is_no_number_is_a_label():
    odd = [np.array([math.nan]), np.array([True]), np.array([b"x"]), np.array(["2020-01-01"], dtype="M8[D]")]
    seen = counted((0.01, False, values) for values in odd)
    assert seen.labels == {"nan": 1, "True": 1, "b'x'": 1, "2020-01-01": 1}


def test_a_label_that_is_no_unicode_is_counted():
    broken = np.array(["\ud800"], dtype=object)
    seen = counted([(0.01, False, broken), (0.01, False, broken)])
    assert msgspec.json.decode(msgspec.json.encode(seen.to_dict()))["labels"] == {"?": 2}


def test_labels_without_end_take_bounded_memory():
    seen = Observations()
    for number in range(20_000):
        seen.observe(0.01, False, np.array([f"{number}" + "x" * 1000]))
    assert len(seen.labels) == observations.NAMED
    assert max(map(len, seen.labels)) <= 64
    assert set(seen.others) <= set(range(observations.CELLS))
    assert sum(seen.labels.values()) + sum(seen.others.values()) == 20_000


@pytest.mark.parametrize(
    "labels", [("0", "1", "2", "3"), ("True", "False"), ("yes", "no"), ("-1", "1"), ("A", "B", "C")]
)
def test_the_usual_labels_have_cells_of_their_own(labels):
    assert len({observations.label_cell(label) for label in labels}) == len(labels)


def test_tails_count_from_the_top():
    assert observations.tails({-1: 2, 1: 3}, range(-2, 3)).tolist() == [5, 5, 3, 3, 0, 0]
