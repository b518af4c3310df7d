from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest
from scipy import stats

from nbmlops.serving.guardrails import CAUGHT_WITHIN, Observations, Rules, judge
from nbmlops.serving.observations import edge, latency_bucket, number_bucket
from nbmlops.serving.sequential import log_evidence_above, log_evidence_below, log_evidence_worse
from nbmlops.testing.rollouts import Version, rollouts

GENERATOR = np.random.default_rng(42)
MILLISECONDS = stats.lognorm(0.5, scale=10.0)


def arm(n=1000, errors=10, slower=1.0, labels=None, numbers=None):
    seen = Observations()
    seen.requests, seen.errors = n, errors
    answered = n - errors
    for seconds in slower * MILLISECONDS.ppf((np.arange(answered) + 0.5) / max(answered, 1)) / 1000:
        bucket = latency_bucket(seconds)
        seen.latencies[bucket] = seen.latencies.get(bucket, 0) + 1
    seen.labels = dict(labels or {})
    for number in () if numbers is None else numbers:
        seen.numbers[number_bucket(number)] = seen.numbers.get(number_bucket(number), 0) + 1
    return seen


def verdicts(champion, candidate, rules=Rules()):  # noqa: B008
    return {verdict.rule: verdict for verdict in judge(champion, {"2": candidate}, rules)}


def tripped(champion, candidate, rules=Rules()):  # noqa: B008
    return {name for name, verdict in verdicts(champion, candidate, rules).items() if verdict.tripped}


def test_an_equal_version_trips_nothing():
    mixed = {"labels": {"late": 300, "on time": 690}, "numbers": GENERATOR.normal(size=500)}
    assert tripped(arm(**mixed), arm(**mixed)) == set()


def test_more_errors_trip_the_error_rate_alone():
    found = verdicts(arm(9870, 89), arm(1204, 60))
    assert tripped(arm(9870, 89), arm(1204, 60)) == {"error_rate"}
    told = found["error_rate"]
    assert told.because.startswith("error rate 5 % of 1,204 against 0.9 % of 9,870: e-value ")
    assert told.because.endswith(", 60 are needed")
    assert (told.arm, told.n_champion, told.n_candidate, told.threshold) == ("2", 9870, 1204, 60)
    evidence = log_evidence_worse((89, 9870), (60, 1204), margin=0.001)
    assert told.e_value == pytest.approx(math.exp(evidence))


def test_fewer_errors_never_trip():
    assert tripped(arm(2000, 900), arm(2000, 0)) == set()
    assert verdicts(arm(2000, 900), arm(2000, 0))["error_rate"].e_value < 1


def test_a_margin_of_the_error_rate_is_allowed():
    champion, candidate = arm(20_000, 20), arm(20_000, 100)
    assert "error_rate" in tripped(champion, candidate)
    assert "error_rate" not in tripped(champion, candidate, Rules(error_margin=0.005))


def test_a_slower_tail_trips_the_latency_alone():
    assert tripped(arm(5000), arm(1000, slower=3)) == {"latency"}

    told = verdicts(arm(5000), arm(1000, slower=3))["latency"].because
    assert told.startswith("95th percentile of latency 68.4 ms of 990 answers against 22.9 ms of 4,990: e-value")


@pytest.mark.parametrize("slower", [0.2, 1.0, 1.4])
def test_a_tail_within_the_factor_does_not_trip(slower):
    assert tripped(arm(20_000), arm(20_000, slower=slower)) == set()


def test_a_millisecond_more_is_always_allowed():
    champion, candidate = arm(5000, slower=0.01), arm(5000, slower=0.04)
    assert tripped(champion, candidate) == set()
    assert tripped(champion, candidate, Rules(latency_added_s=0.0)) == {"latency"}


def test_evidence_of_latency_is_the_least_over_where_the_percentile_may_be():
    champion, candidate = arm(500), arm(400, slower=2.2)
    products = []
    for bucket in range(latency_bucket(1e-4), latency_bucket(1.0)):
        limit = max(1.5 * edge(bucket + 1), edge(bucket + 1) + 0.001)
        slow = sum(n for one, n in candidate.latencies.items() if edge(one) >= limit)
        high = sum(n for one, n in champion.latencies.items() if one >= bucket)
        products.append(float(log_evidence_below(high, 490, 0.05) + log_evidence_above(slow, 390, 0.05)))
    assert verdicts(champion, candidate)["latency"].e_value == pytest.approx(math.exp(min(products)))


def test_evidence_of_latency_is_an_e_value_under_the_hypothesis():
    # Two latencies, of which the champion's 95th percentile is the first: all outcomes can be worked out.
    fast, slow = latency_bucket(0.01), latency_bucket(0.1)
    n, expected = 40, 0.0
    for k_champion, k_candidate in np.ndindex(n + 1, n + 1):
        champion, candidate = Observations(), Observations()
        for seen, k in ((champion, k_champion), (candidate, k_candidate)):
            seen.requests, seen.latencies = n, {fast: n - int(k), slow: int(k)}
        chance = stats.binom.pmf(k_champion, n, 0.05) * stats.binom.pmf(k_candidate, n, 0.05)
        if chance > 1e-9:
            expected += chance * verdicts(champion, candidate, Rules(minimum_requests=1))["latency"].e_value
    assert expected <= 1


def test_other_labels_trip_the_shift_whichever_way():
    many, few = {"a": 700, "b": 290}, {"a": 300, "b": 690}
    assert tripped(arm(labels=many), arm(labels=few)) == {"prediction_shift"}
    assert tripped(arm(labels=few), arm(labels=many)) == {"prediction_shift"}
    told = verdicts(arm(labels=many), arm(labels=few))["prediction_shift"].because
    assert told.startswith("predictions shifted by 0.40 of 1 between 990 requests and the champion's 990: e-value")


def test_evidence_of_a_shift_is_the_mean_over_all_comparisons():
    found = verdicts(arm(labels={"a": 700, "b": 290}), arm(labels={"a": 300, "b": 690}))["prediction_shift"]
    more, less = log_evidence_worse((290, 990), (690, 990)), log_evidence_worse((300, 990), (700, 990))
    assert found.e_value == pytest.approx((math.exp(more) + math.exp(less)) / 12_288)


def test_a_label_that_the_champion_never_gives_is_a_shift():
    assert tripped(arm(labels={"a": 990}), arm(labels={"a": 600, "new": 390})) == {"prediction_shift"}


@pytest.mark.parametrize(("centre", "spread"), [(1.0, 1.0), (-1.0, 1.0), (0.0, 4.0), (1e6, 1.0)])
def test_other_numbers_trip_the_shift(centre, spread):
    normal = stats.norm.ppf((np.arange(990) + 0.5) / 990)
    assert tripped(arm(numbers=normal), arm(numbers=normal)) == set()
    assert tripped(arm(numbers=normal), arm(numbers=centre + spread * normal)) == {"prediction_shift"}


def test_a_small_shift_does_not_trip_however_sure_it_is():
    champion, candidate = arm(labels={"a": 50_000, "b": 50_000}), arm(labels={"a": 55_000, "b": 45_000})
    told = verdicts(champion, candidate)["prediction_shift"]
    assert told.e_value > told.threshold
    assert not told.tripped
    assert tripped(champion, candidate, Rules(shift=0.04)) == {"prediction_shift"}


def test_a_large_shift_of_few_predictions_is_no_evidence():
    champion, candidate = arm(labels={"a": 27, "b": 23}), arm(labels={"a": 13, "b": 37})
    assert tripped(champion, candidate, Rules(minimum_requests=1)) == set()


def test_labels_without_end_are_no_shift():
    def unlimited():
        seen = Observations()
        for value in GENERATOR.integers(10**9, size=3000):
            seen.observe(0.01, False, np.array([f"{value}"]))
        return seen

    assert tripped(unlimited(), unlimited()) == set()


def test_what_the_model_answered_is_in_no_verdict():
    for verdict in judge(arm(labels={"secret": 900}), {"2": arm(labels={"hidden": 900})}, Rules()):
        assert "secret" not in str(verdict)
        assert "hidden" not in str(verdict)


def test_too_few_requests_of_either_are_not_judged():
    few, many = arm(49, 49), arm(5000, 0)
    assert tripped(many, few) == set()
    assert tripped(arm(49, 0), arm(5000, 5000)) == set()
    assert (
        verdicts(many, few)["error_rate"].because
        == "too few to judge: 49 requests against 5,000; 50 of each are needed"
    )
    assert tripped(many, arm(50, 50)) == {"error_rate"}
    assert tripped(many, few, Rules(minimum_requests=20)) == {"error_rate"}


def test_nothing_counted_is_nothing_judged():
    assert tripped(Observations(), Observations()) == set()
    assert judge(arm(), {}, Rules()) == []


def test_alpha_is_divided_over_the_rules_and_the_candidates():
    def thresholds(n, rules):
        return {round(verdict.threshold, 6) for verdict in judge(arm(), {str(i): arm() for i in range(n)}, rules)}

    assert thresholds(1, Rules()) == {60}
    assert thresholds(3, Rules()) == {180}
    assert thresholds(2, Rules(shift=None, alpha=0.1)) == {40}
    assert thresholds(1, Rules(shift=None, latency_factor=None)) == {20}


def test_each_candidate_is_judged_for_itself():
    found = judge(arm(9000, 90), {"2": arm(1000, 10), "3": arm(1000, 200)}, Rules())
    assert {(verdict.arm, verdict.rule) for verdict in found if verdict.tripped} == {("3", "error_rate")}
    assert len(found) == 6


def test_a_rule_that_is_off_is_not_held():
    rules = Rules(error_margin=None)
    assert set(verdicts(arm(1000, 0), arm(1000, 1000), rules)) == {"latency", "prediction_shift"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_margin": -0.1},
        {"error_margin": 1.0},
        {"latency_factor": 0.9},
        {"latency_factor": math.nan},
        {"latency_added_s": -1.0},
        {"shift": 1.5},
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"minimum_requests": 0},
    ],
)
def test_rules_that_can_not_be_held_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rules(**wrong)


def test_rules_and_verdicts_are_json():
    rules = Rules(shift=None, alpha=0.01)
    assert msgspec.json.decode(msgspec.json.encode(rules), type=Rules) == rules
    with pytest.raises(msgspec.ValidationError, match="alpha"):
        msgspec.json.decode(b'{"alpha": 2}', type=Rules)
    extreme = judge(arm(100_000, 0), {"2": arm(100_000, 100_000)}, Rules())
    assert json.loads(msgspec.json.encode(extreme))[0]["e_value"] > 1e300
    assert math.isfinite(extreme[0].e_value)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_identical_pairs_are_seldom_told_apart(share):
    outcomes = rollouts(Version(), Version(), share=share, requests=20_000, runs=200)
    false = sum(outcome.requests is not None for outcome in outcomes)
    assert stats.binomtest(false, 200).proportion_ci(0.95).high <= 0.10


@pytest.mark.parametrize("case", CAUGHT_WITHIN)
def test_two_points_more_errors_are_caught_within_the_stated_number(case):
    champion, candidate, share = case
    versions = Version(error_rate=champion), Version(error_rate=candidate)
    outcomes = rollouts(*versions, share=share, requests=CAUGHT_WITHIN[case], runs=200)
    caught = [outcome for outcome in outcomes if outcome.requests is not None]
    assert len(caught) >= 0.9 * len(outcomes)
    assert {verdict.rule for outcome in caught for verdict in outcome.verdicts} == {"error_rate"}


@pytest.mark.parametrize(
    ("bad", "rule", "within"),
    [
        (Version(latency_s=0.03), "latency", 1000),
        (Version(latency_s=0.02), "latency", 6000),
        (Version(classes=(0.3, 0.3, 0.4)), "prediction_shift", 2000),
    ],
)
def test_a_slow_or_shifted_version_is_caught(bad, rule, within):
    outcomes = rollouts(Version(), bad, share=0.1, requests=within, runs=40)
    assert sum(outcome.requests is not None for outcome in outcomes) >= 36
    assert {verdict.rule for outcome in outcomes for verdict in outcome.verdicts} == {rule}
