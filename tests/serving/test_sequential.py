from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from nbmlops.serving import sequential

COUNTS = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.floats(0.001, 0.999))
def test_the_mixture_for_one_rate_is_the_beta_binomial_likelihood_ratio(counts, rate):
    successes, n = counts
    mixed = special.betaln(successes + 0.5, n - successes + 0.5) - special.betaln(0.5, 0.5)
    exact = mixed - special.xlogy(successes, rate) - special.xlog1py(n - successes, -rate)
    assert sequential.log_evidence_proportion(successes, n, rate) == pytest.approx(exact, abs=1e-8)


def test_the_mixture_is_the_integral_over_the_prior():
    integral = sum(
        math.exp(7 * math.log(q) + 33 * math.log1p(-q)) * weight
        for q, weight in zip(*_quadrature(stats.beta(0.5, 0.5)), strict=True)
    )
    expected = math.log(integral) - 7 * math.log(0.3) - 33 * math.log(0.7)
    assert sequential.log_evidence_proportion(7, 40, 0.3) == pytest.approx(expected, abs=1e-6)


def _quadrature(prior):
    points = (np.arange(200_000) + 0.5) / 200_000
    return prior.ppf(points), np.full(len(points), 1 / len(points))


@given(COUNTS, st.sampled_from([0.5, 0.05, 0.001]))
def test_an_interval_ends_where_the_evidence_reaches_the_threshold(counts, alpha):
    successes, n = counts
    low, high = sequential.proportion_interval(successes, n, alpha)
    assert low <= successes / n <= high
    for edge in (low, high):
        if 0 < edge < 1:
            assert sequential.log_evidence_proportion(successes, n, edge) == pytest.approx(-math.log(alpha), abs=1e-4)
    if successes in (0, n):
        assert (low, high)[successes == n] == float(successes == n)


def test_nothing_is_known_of_nothing():
    assert sequential.proportion_interval(0, 0) == (0.0, 1.0)
    assert sequential.mean_interval(1, 3.0, 9.0) == (-math.inf, math.inf)


@pytest.mark.parametrize(("successes", "n", "alpha"), [(3, 2, 0.05), (-1, 2, 0.05), (1, 2, 0.0), (1, 2, 1.0)])
def test_an_impossible_interval_is_refused(successes, n, alpha):
    with pytest.raises(ValueError, match="no interval for"):
        sequential.proportion_interval(successes, n, alpha)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.97])
def test_the_true_rate_is_in_all_intervals_at_once(rate):
    generator = np.random.default_rng(7)
    looks, runs = np.arange(1, 2001), 400
    hits = (generator.random((runs, len(looks))) < rate).cumsum(axis=1)
    mixed = special.betaln(hits + 0.5, looks - hits + 0.5) - special.betaln(0.5, 0.5)
    evidence = mixed - special.xlogy(hits, rate) - special.xlogy(looks - hits, 1 - rate)
    missed = int((evidence >= math.log(20)).any(axis=1).sum())
    assert stats.binomtest(missed, runs).proportion_ci(0.95).low <= 0.05
    sample = generator.integers(runs, size=20)
    for run in sample:
        low, high = sequential.proportion_interval(int(hits[run, -1]), 2000)
        assert (low < rate < high) == (evidence[run, -1] < math.log(20))


@given(COUNTS, st.floats(0.001, 0.9))
def test_evidence_of_a_rate_is_the_mixture_over_its_odds(counts, rate):
    successes, n = counts
    ratios, weights = sequential._RATIOS, sequential._WEIGHTS
    assert weights.sum() == pytest.approx(1)
    for sign, found in ((1, sequential.log_evidence_above), (-1, sequential.log_evidence_below)):
        odds = rate / (1 - rate) * ratios**sign
        terms = stats.binom.logpmf(successes, n, odds / (1 + odds)) - stats.binom.logpmf(successes, n, rate)
        assert float(found(successes, n, rate)) == pytest.approx(special.logsumexp(terms, b=weights), abs=1e-6)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
@pytest.mark.parametrize(("evidence", "sides"), [("log_evidence_above", (0, -1)), ("log_evidence_below", (0, 1))])
def test_evidence_is_an_e_value_on_its_side_alone(rate, evidence, sides):
    n = 60
    outcomes = np.arange(n + 1)
    values = np.exp(getattr(sequential, evidence)(outcomes, np.full(n + 1, n), np.full(n + 1, rate)))
    for side in sides:
        true = rate * (1 + 0.5 * side)
        assert stats.binom.pmf(outcomes, n, true) @ values <= 1 + 1e-9
    other = rate * (1 - 0.9 * sides[1])
    assert stats.binom.pmf(outcomes, n, min(other, 0.99)) @ values > 1


@settings(max_examples=40, deadline=None)
@given(COUNTS, COUNTS, st.sampled_from([0.0, 0.001, 0.2]))
def test_the_least_favourable_rate_is_found(champion, candidate, margin):
    def product(log_odds):
        rate = (1 - margin) / (1 + math.exp(-log_odds))
        below = sequential.log_evidence_below(*champion, rate)
        return float(below + sequential.log_evidence_above(*candidate, rate + margin))

    grid = np.linspace(-25, 25, 2001)
    best = grid[int(np.argmin([product(one) for one in grid[::10]])) * 10]
    finer = optimize.minimize_scalar(
        product, bounds=(best - 0.5, best + 0.5), method="bounded", options={"xatol": 1e-9}
    )
    found = float(sequential.log_evidence_worse(champion, candidate, margin=margin))
    assert found <= finer.fun + 1e-6
    assert found == pytest.approx(finer.fun, abs=1e-4)


@pytest.mark.parametrize(("champion", "candidate", "margin"), [(0.1, 0.1, 0.0), (0.3, 0.1, 0.0), (0.1, 0.2, 0.1)])
def test_evidence_of_a_worse_rate_is_an_e_value_under_the_hypothesis(champion, candidate, margin):
    n = (25, 10)
    first, second = np.meshgrid(np.arange(n[0] + 1), np.arange(n[1] + 1), indexing="ij")
    values = np.exp(sequential.log_evidence_worse((first, n[0]), (second, n[1]), margin=margin))
    chances = np.outer(
        stats.binom.pmf(range(n[0] + 1), n[0], champion), stats.binom.pmf(range(n[1] + 1), n[1], candidate)
    )
    assert (values * chances).sum() <= 1 + 1e-9


@pytest.mark.parametrize(("rates", "share"), [((0.01, 0.01), 0.1), ((0.2, 0.2), 0.5), ((0.02, 0.01), 0.1)])
def test_stopping_at_the_first_alarm_gives_no_more_false_ones_than_alpha(rates, share):
    tripped = _rollouts(rates, share, looks=150, runs=300).any(axis=1)
    assert stats.binomtest(int(tripped.sum()), len(tripped)).proportion_ci(0.95).high <= 0.05


def test_who_gets_a_request_may_depend_on_what_was_seen():
    generator = np.random.default_rng(3)
    runs, rate = 300, 0.05
    counts = np.zeros((4, runs))
    alarmed = np.zeros(runs, dtype=bool)
    for _ in range(100):
        share = np.where(counts[2] / np.maximum(counts[3], 1) > counts[0] / np.maximum(counts[1], 1), 0.05, 0.8)
        candidate = generator.binomial(50, share)
        counts += [
            generator.binomial(50 - candidate, rate),
            50 - candidate,
            generator.binomial(candidate, rate),
            candidate,
        ]
        alarmed |= sequential.log_evidence_worse((counts[0], counts[1]), (counts[2], counts[3])) >= math.log(20)
    assert stats.binomtest(int(alarmed.sum()), runs).proportion_ci(0.95).high <= 0.05


def test_a_worse_rate_is_found_sooner_than_by_universal_inference():
    counts = _counts((0.01, 0.03), 0.1, looks=150, runs=200)
    found = sequential.log_evidence_worse(counts[:2], counts[2:]) >= math.log(20)
    hits, n, hits_candidate, n_candidate = counts
    pooled = (hits + hits_candidate) / (n + n_candidate)
    universal = sum(
        special.betaln(s + 0.5, m - s + 0.5) - special.betaln(0.5, 0.5) for s, m in (counts[:2], counts[2:])
    )
    universal -= special.xlogy(hits + hits_candidate, pooled)
    universal -= special.xlogy(n + n_candidate - hits - hits_candidate, 1 - pooled)
    assert found.argmax(axis=1).mean() < 0.8 * (universal >= math.log(20)).argmax(axis=1).mean()


def _counts(rates, share, *, looks, runs, step=100):
    generator = np.random.default_rng(11)
    candidate = generator.binomial(step, share, (runs, looks))
    champion = step - candidate
    parts = (generator.binomial(champion, rates[0]), champion, generator.binomial(candidate, rates[1]), candidate)
    return tuple(part.cumsum(axis=1) for part in parts)


def _rollouts(rates, share, *, looks, runs):
    counts = _counts(rates, share, looks=looks, runs=runs)
    return sequential.log_evidence_worse(counts[:2], counts[2:]) >= math.log(20)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (100, 100), (970, 1000), (499, 500)])
def test_what_is_needed_is_what_decides(successes, n):
    more = sequential.needed_to_decide(successes, n, 0.99)
    rate = successes / n if n else 1.0

    def decided(extra):
        low, high = sequential.proportion_interval(successes + rate * extra, n + extra)
        return low >= 0.99 or high <= 0.99

    assert decided(more)
    assert more == 0 or not decided(more - 1)


def test_what_no_number_decides_says_so():
    assert sequential.needed_to_decide(99, 100, 0.99) is None


def test_what_is_needed_for_a_width_gives_it():
    more = sequential.needed_for_width(60, 100, 0.05)
    low, high = sequential.proportion_interval(60 + 0.599 * more, 100 + more)
    assert high - low == pytest.approx(0.05, rel=0.01)
    assert sequential.needed_for_width(60, 100, 0.5) == 0


def test_a_mean_is_in_its_asymptotic_intervals():
    generator = np.random.default_rng(5)
    runs, looks = 300, 2000
    values = generator.exponential(2.0, (runs, looks)) - 0.5
    totals, squares = values.cumsum(axis=1), (values**2).cumsum(axis=1)
    missed = 0
    for run in range(runs):
        intervals = [
            sequential.mean_interval(n, totals[run, n - 1], squares[run, n - 1]) for n in range(100, looks + 1, 50)
        ]
        missed += any(not low <= 1.5 <= high for low, high in intervals)
    assert stats.binomtest(missed, runs).proportion_ci(0.95).low <= 0.05


def test_an_asymptotic_interval_is_the_published_one():
    n, deviation, alpha = 400, 3.0, 0.05
    rho = math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / 500)
    bound = 2 * (n * rho**2 + 1) / (n**2 * rho**2) * math.log(math.sqrt(n * rho**2 + 1) / alpha)
    low, high = sequential.mean_interval(n, n * 1.0, n * (deviation**2 + 1.0), alpha=alpha)
    assert (high - low) / 2 == pytest.approx(deviation * math.sqrt(bound))
    assert (high + low) / 2 == pytest.approx(1.0)
