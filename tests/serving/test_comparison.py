from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving.comparison import Comparison, report
from nbmlops.serving.outputs import Outputs
from nbmlops.serving.sequential import mean_interval, proportion_interval

PAIRS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from([0.0, 1.0, 2.5])), min_size=1, max_size=3),
        st.booleans(),
        st.floats(1e-4, 1.0),
    ),
    max_size=15,
)


def compared(requests, start=0):
    comparison = Comparison()
    for number, (rows, failed, seconds) in enumerate(requests):
        old, new = (Outputs(labels=np.array(values)) for values in zip(*rows, strict=True))
        comparison.observe(
            f"p{start + number:04}",
            old,
            None if failed else new,
            seconds_champion=seconds,
            seconds_shadow=2 * seconds,
            failed=failed,
        )
    return comparison


def single(old, new, **others):
    comparison = Comparison()
    comparison.observe("p", old, new, seconds_champion=0.01, seconds_shadow=0.02, **others)
    return comparison


def labels(*values):
    return Outputs(labels=np.array(values))


def probabilities(*rows):
    return Outputs(probabilities=np.array(rows))


@given(PAIRS, PAIRS, PAIRS)
def test_comparisons_of_several_processes_add_to_that_of_one(first, second, third):
    parts = [compared(first), compared(second, 100), compared(third, 200)]
    whole = Comparison()
    for part, requests in zip(parts, (first, second, third), strict=True):
        assert part.pairs + part.errors == len(requests)
        whole = whole + part
    there, back = Comparison.merged(parts).to_dict(), (parts[2] + (parts[1] + parts[0])).to_dict()
    assert there == whole.to_dict()
    for name, value in there.items():
        assert back[name] == (pytest.approx(value) if isinstance(value, float) else value)


@given(PAIRS)
def test_a_comparison_survives_json(requests):
    comparison = compared(requests)
    read = Comparison.from_dict(json.loads(json.dumps(comparison.to_dict())))
    assert read.to_dict() == comparison.to_dict()
    assert report(read) == report(comparison)


@given(PAIRS)
def test_counts_are_what_one_would_count_by_hand(requests):
    comparison = compared(requests)
    answered = [rows for rows, failed, _ in requests if not failed]
    shares = [sum(old == new for old, new in rows) / len(rows) for rows in answered]
    gaps = [sum(new - old for old, new in rows) / len(rows) for rows in answered]
    assert comparison.agreeing == comparison.equal == pytest.approx(1e6 * sum(shares), abs=len(answered))
    assert comparison.rows == sum(map(len, answered))
    assert (comparison.measured, comparison.total) == (len(answered), pytest.approx(sum(gaps)))
    assert comparison.squares == pytest.approx(sum(gap * gap for gap in gaps))
    wrong = sorted((abs(new - old) for rows in answered for old, new in rows if new != old), reverse=True)
    assert [one.size for one in comparison.largest] == wrong[:10]


@pytest.mark.parametrize(
    ("old", "new", "equal", "agrees"),
    [
        (1.0, 1.0, True, True),
        (1.0, 1.0 + 1e-9, False, True),
        (1e6, 1e6 + 0.5, False, True),
        (1e6, 1e6 + 2, False, False),
        (0.0, 1e-7, False, True),
        (0.0, 1e-5, False, False),
        (math.nan, math.nan, True, True),
        (math.nan, 1.0, False, False),
        (math.inf, math.inf, True, True),
        (math.inf, 1.0, False, False),
        ("a", "a", True, True),
        ("a", "b", False, False),
        (1, 1.0, True, True),
        ("1", 1, False, False),
        (True, False, False, False),
    ],
)
@pytest.mark.parametrize("rows", [1, 3])
def test_what_agrees(old, new, equal, agrees, rows):
    comparison = single(labels(*[old] * rows), labels(*[new] * rows))
    assert (comparison.pairs, comparison.rows) == (1, rows)
    assert (comparison.equal, comparison.agreeing) == (1_000_000 * equal, 1_000_000 * agrees)
    assert len(comparison.largest) == (0 if agrees else rows)
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_a_row_and_a_batch_are_measured_alike():
    generator = np.random.default_rng(1)
    old, new = generator.normal(size=50), generator.normal(size=50)
    rows = Comparison()
    for a, b in zip(old, new, strict=True):
        rows.observe("p", labels(a), labels(b), seconds_champion=0.01, seconds_shadow=0.01)
    batch = single(labels(*old), labels(*new))
    assert batch.total == pytest.approx(rows.total / 50)
    assert batch.absolute == pytest.approx(rows.absolute / 50)
    assert [one.size for one in batch.largest] == pytest.approx([one.size for one in rows.largest])


def test_probabilities_agree_in_the_class_and_differ_by_the_second():
    comparison = single(probabilities([0.4, 0.6], [0.9, 0.1]), probabilities([0.2, 0.8], [0.4, 0.6]))
    assert (comparison.equal, comparison.agreeing) == (0, 500_000)
    assert comparison.total == pytest.approx((0.2 + 0.5) / 2)
    assert [(one.row, one.size) for one in comparison.largest] == [(1, pytest.approx(0.5))]


def test_probabilities_of_several_classes_differ_by_their_total_variation():
    comparison = single(probabilities([0.5, 0.3, 0.2]), probabilities([0.2, 0.3, 0.5]))
    assert comparison.total == pytest.approx(0.3)
    assert comparison.agreeing == 0


def test_labels_with_probabilities_agree_by_the_label():
    old = Outputs(labels=np.array(["no"]), probabilities=np.array([[0.6, 0.4]]))
    new = Outputs(labels=np.array(["no"]), probabilities=np.array([[0.7, 0.3]]))
    comparison = single(old, new)
    assert comparison.agreeing == 1_000_000
    assert comparison.total == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("old", "new", "agreeing"),
    [
        (Outputs(named={"a": np.array([1.0, 2.0])}), Outputs(named={"a": np.array([1.0, 3.0])}), 500_000),
        (Outputs(named={"a": np.array([1.0])}), Outputs(named={"b": np.array([1.0])}), 0),
        (Outputs(payload={"x": [1, 2]}), Outputs(payload={"x": [1, 2]}), 1_000_000),
        (Outputs(payload={"x": [1, 2]}), Outputs(payload={"x": [1]}), 0),
        (Outputs(labels=np.array([1.0])), Outputs(payload=None), 0),
        (labels(1.0, 2.0), labels(1.0), 0),
        (probabilities([0.5, 0.5]), probabilities([0.2, 0.3, 0.5]), 0),
        (Outputs(labels=np.array(1.0)), Outputs(labels=np.array(1.0)), 0),
        (Outputs(labels=np.array([[1.0, 2.0]])), Outputs(labels=np.array([[1.0, 2.5]])), 0),
    ],
)
def test_answers_of_every_form_are_compared(old, new, agreeing):
    comparison = single(old, new)
    assert (comparison.pairs, comparison.agreeing) == (1, agreeing)
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_answers_to_no_rows_are_no_pair():
    assert single(Outputs(labels=np.array([])), Outputs(labels=np.array([]))).pairs == 0


def test_what_the_shadow_failed_or_never_got_is_counted_apart():
    comparison = single(labels(1.0), None)
    comparison.observe("q", labels(1.0), labels(1.0), seconds_champion=0.01, seconds_shadow=0.01, failed=True)
    comparison.drop()
    assert (comparison.pairs, comparison.errors, comparison.dropped) == (0, 2, 1)


def test_the_ten_largest_disagreements_are_kept_with_their_answers():
    comparison = Comparison()
    for number in range(100):
        new = labels(1000.0 - number)
        comparison.observe(f"p{number:03}", labels(0.0), new, seconds_champion=0.01, seconds_shadow=0.01)
    assert [one.prediction for one in comparison.largest] == [f"p{number:03}" for number in range(10)]
    first = comparison.largest[0]
    assert (first.row, first.champion, first.shadow, first.size) == (0, 0.0, 1000.0, 1000.0)
    many = single(labels(*["a"] * 500), labels(*["b" * 5000] * 500))
    assert len(many.largest) == 10
    assert many.largest[0].shadow == "b" * 200


def test_text_that_is_no_unicode_is_told_all_the_same():
    comparison = single(labels("a"), Outputs(labels=np.array(["\ud800"], dtype=object)))
    assert msgspec.json.decode(msgspec.json.encode(comparison.to_dict()))["largest"][0]["shadow"] == "?"


def test_a_difference_beyond_measure_spoils_no_mean():
    comparison = single(labels(1e308), labels(-1e308)) + single(labels(1.0), labels(2.0))
    assert (comparison.measured, comparison.total) == (1, 1.0)
    assert comparison.agreeing == 0


def many(agreeing, disagreeing):
    comparison = single(labels(0.0), labels(0.0))
    for name in ("pairs", "rows"):
        setattr(comparison, name, agreeing + disagreeing)
    comparison.equal = comparison.agreeing = 1_000_000 * agreeing
    comparison.measured, comparison.total, comparison.squares = agreeing + disagreeing, disagreeing, disagreeing
    comparison.absolute, comparison.absolute_squares = disagreeing, disagreeing
    return comparison


def test_a_report_says_when_there_is_enough():
    told = report(many(2000, 0))
    assert told.needed == 0
    assert told.verdict.startswith("enough: agreement is above 99 %, between ")
    told = report(many(900, 100))
    assert told.needed == 0
    assert told.verdict.startswith("enough: agreement is below 99 %, between ")


def test_a_report_says_how_many_more_are_needed():
    told = report(many(100, 0))
    assert told.verdict == "about 580 more pairs are needed to know whether agreement is above 99 %"
    assert report(many(100 + told.needed, 0)).needed == 0
    assert report(Comparison()).verdict.endswith("more pairs are needed to know whether agreement is above 99 %")
    assert report(many(100, 0), threshold=0.995).needed > 580
    assert report(many(99, 1)).verdict.startswith("agreement after 100 pairs is so near 99 % that")


def test_a_report_holds_the_intervals_and_percentiles():
    told = report(many(1990, 10), alpha=0.1)
    assert told.agreement == told.equal == pytest.approx(0.995)
    assert told.agreement_interval == proportion_interval(1990, 2000, 0.1)
    assert told.difference == told.absolute == pytest.approx(0.005)
    assert told.difference_interval == mean_interval(2000, 10, 10, alpha=0.1)
    assert told.latency_champion == pytest.approx((0.01, 0.01), rel=0.04)
    assert told.latency_shadow == pytest.approx((0.02, 0.02), rel=0.04)


def test_a_report_of_nothing_claims_nothing():
    told = report(Comparison())
    assert (told.agreement, told.equal, told.difference, told.latency_champion) == (None, None, None, None)
    assert told.agreement_interval == (0.0, 1.0)


def test_a_limit_theorem_is_not_used_on_a_few_pairs():
    assert report(many(28, 1)).difference_interval is None
    assert report(many(29, 1)).difference_interval is not None
