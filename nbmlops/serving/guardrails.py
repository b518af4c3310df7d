"""Judges a version that gets part of the traffic against the one that it shall replace, by counts that add."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

import msgspec
import numpy as np
from numpy.typing import NDArray

from .observations import CELLS, NUMBERS, edge, label_cell, percentile, tails
from .observations import Observations as Observations
from .sequential import log_evidence_above, log_evidence_below, log_evidence_worse

TAIL = 0.05
"""The share of the slowest answers that the rule of latency looks at: those past the 95th percentile."""

CAUGHT_WITHIN = {
    (0.01, 0.03, 0.1): 16_000,
    (0.01, 0.03, 0.5): 6_500,
    (0.0, 0.02, 0.1): 5_000,
    (0.0, 0.02, 0.5): 2_000,
}
"""Requests to both arms within which a worse error rate is caught with power 0.9 under the default rules:
by the champion's rate, the candidate's and the candidate's share of the traffic."""

_WORKED_OUT = 12


class Rules(msgspec.Struct, frozen=True):
    """What a candidate is held to; None switches a rule off.

    Attributes
    ----------
    error_margin : float, optional
        By how much its error rate may be above the champion's: 0.001 is a tenth of a percentage point.
    latency_factor : float, optional
        By what factor its 95th percentile of latency may be above the champion's.
    latency_added_s : float, seconds
        What is added to the champion's 95th percentile in any case: a candidate may always be this much slower.
    shift : float, optional
        The distance between the two arms' predictions from which they count as shifted, from 0 to 1.
    alpha : float
        The probability that identical versions are ever told apart, for all rules, all candidates and all the time of
        one split together.
    minimum_requests : int
        To each of the two arms, before anything is judged.
    """

    error_margin: float | None = 0.001
    latency_factor: float | None = 1.5
    latency_added_s: float = 0.001
    shift: float | None = 0.25
    alpha: float = 0.05
    minimum_requests: int = 50

    def __post_init__(self) -> None:
        problems = {
            "error_margin is inside 0 to 1": self.error_margin is not None and not 0 <= self.error_margin < 1,
            "latency_factor is at least 1": self.latency_factor is not None and not self.latency_factor >= 1,
            "latency_added_s is not negative": not self.latency_added_s >= 0,
            "shift is inside 0 to 1": self.shift is not None and not 0 <= self.shift <= 1,
            "alpha is inside 0 to 1": not 0 < self.alpha < 1,
            "minimum_requests is at least 1": self.minimum_requests < 1,
        }
        broken = [problem for problem, found in problems.items() if found]
        if broken:
            raise ValueError(f"the guardrails {self} can't be held: {'; '.join(broken)}")


class Verdict(msgspec.Struct, frozen=True):
    """What one rule says of one candidate.

    Attributes
    ----------
    arm, rule : str
        The rule is ``error_rate``, ``latency`` or ``prediction_shift``.
    tripped : bool
    because : str
        One sentence with the numbers; none of the model's answers is in it.
    e_value, threshold : float
        The evidence, and what it must reach.
    n_champion, n_candidate : int
        What was counted of each.
    """

    arm: str
    rule: str
    tripped: bool
    because: str
    e_value: float
    threshold: float
    n_champion: int
    n_candidate: int


class _Finding(msgspec.Struct, frozen=True):
    log_evidence: float
    says: str
    n: tuple[int, int]
    large: bool = True


def judge(champion: Observations, candidates: Mapping[str, Observations], rules: Rules) -> list[Verdict]:
    """Hold each candidate to the rules, against the champion.

    Both must have been counted over the same time at one split of the traffic: counts start when a split does.
    `alpha` is divided over the rules and the candidates; the verdicts hold at any time of looking.

    Parameters
    ----------
    champion : Observations
    candidates : mapping of str to Observations
        By the name of the arm.
    rules : Rules

    Returns
    -------
    list of Verdict
        One for each candidate and rule.
    """
    tests = {
        "error_rate": (_errors, rules.error_margin),
        "latency": (_latency, rules.latency_factor),
        "prediction_shift": (_shift, rules.shift),
    }
    chosen = {name: test for name, (test, limit) in tests.items() if limit is not None}
    threshold = max(len(chosen) * len(candidates), 1) / rules.alpha
    return [
        _verdict((arm, name), test(champion, candidate, rules), threshold=threshold, rules=rules)
        for arm, candidate in candidates.items()
        for name, test in chosen.items()
    ]


def _verdict(of: tuple[str, str], finding: _Finding, *, threshold: float, rules: Rules) -> Verdict:
    few = min(finding.n) < rules.minimum_requests
    tripped = not few and finding.large and finding.log_evidence >= log(threshold)
    e_value = exp(min(finding.log_evidence, 700.0))
    if few:
        n_champion, n_candidate = finding.n
        seen = f"{n_candidate:,} requests against {n_champion:,}"
        because = f"too few to judge: {seen}; {rules.minimum_requests:,} of each are needed"
    else:
        because = f"{finding.says}: e-value {_shown(e_value)}, {_shown(threshold)} are needed"
    return Verdict(*of, tripped, because, e_value, threshold, *finding.n)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if 10 <= value < 1e6 else f"{value:.2g}"


def _errors(champion: Observations, candidate: Observations, rules: Rules) -> _Finding:
    evidence = log_evidence_worse(
        (champion.errors, champion.requests), (candidate.errors, candidate.requests), margin=rules.error_margin or 0.0
    )
    says = f"error rate {_rate(candidate)} against {_rate(champion)}"
    return _Finding(float(evidence), says, (champion.requests, candidate.requests))


def _rate(counted: Observations) -> str:
    return f"{100 * counted.errors / max(counted.requests, 1):.2g} % of {counted.requests:,}"


def _latency(champion: Observations, candidate: Observations, rules: Rules) -> _Finding:
    """Test whether the candidate's 95th percentile is above what the champion's allows.

    The champion's percentile is not known. For each bucket that may hold it, the champion's evidence that it lies
    below times the candidate's that too many answers are slower than the limit is a supermartingale if the bucket
    does hold it; so the least product of all buckets counts.
    """
    seen = [*champion.latencies, *candidate.latencies, 0]
    n = sum(champion.latencies.values()), sum(candidate.latencies.values())
    buckets = range(min(seen), max(seen) + 2)
    edges = np.array([edge(bucket) for bucket in range(buckets.start, buckets.stop + 1)])
    limits = np.maximum(edges[1:] * (rules.latency_factor or 1.0), edges[1:] + rules.latency_added_s)
    beyond = tails(candidate.latencies, buckets)[np.searchsorted(edges[:-1], limits)]
    below = log_evidence_below(tails(champion.latencies, buckets)[:-1], np.full(len(buckets), n[0]), TAIL)
    above = log_evidence_above(beyond, np.full(len(buckets), n[1]), TAIL)
    says = (
        f"95th percentile of latency {_milliseconds(candidate)} of {n[1]:,} answers "
        f"against {_milliseconds(champion)} of {n[0]:,}"
    )
    return _Finding(float((below + above).min()), says, n)


def _milliseconds(counted: Observations) -> str:
    return f"{1000 * (percentile(counted.latencies, 1 - TAIL) or 0.0):.3g} ms"


def _shift(champion: Observations, candidate: Observations, rules: Rules) -> _Finding:
    """Test whether the two arms' predictions differ, and measure by how much.

    Each label against the rest, and each number at or above a value against the rest, is a comparison of two
    proportions; the e-value is the mean over all comparisons there are, of which those that differ most are worked
    out and the others count as 0.
    """
    n = _predicted(champion), _predicted(candidate)
    totals = max(n[0], 1), max(n[1], 1)
    labels = [_cells(counted) for counted in (champion, candidate)]
    buckets = range(-NUMBERS, NUMBERS + 1)
    numbers = [tails(counted.numbers, buckets)[1:-1] for counted in (champion, candidate)]
    events = [np.concatenate(pair) for pair in zip(labels, numbers, strict=True)]
    gaps = events[1] / totals[1] - events[0] / totals[0]
    widest = np.argsort(-np.abs(gaps), kind="stable")[:_WORKED_OUT]
    rises = gaps[widest] >= 0
    lower = np.where(rises, events[0][widest], events[1][widest]), np.where(rises, totals[0], totals[1])
    upper = np.where(rises, events[1][widest], events[0][widest]), np.where(rises, totals[1], totals[0])
    evidence = np.logaddexp.reduce(log_evidence_worse(lower, upper)) - log(2 * len(gaps))
    distance = max(_total_variation(champion, candidate, totals), float(np.abs(gaps[len(labels[0]) :]).max()))
    says = f"predictions shifted by {distance:.2f} of 1 between {n[1]:,} requests and the champion's {n[0]:,}"
    return _Finding(float(evidence), says, n, distance >= (rules.shift or 0.0))


def _predicted(counted: Observations) -> int:
    return sum(sum(counts.values()) for counts in (counted.labels, counted.others, counted.numbers))


def _cells(counted: Observations) -> NDArray[np.float64]:
    cells = np.zeros(CELLS)
    for label, count in counted.labels.items():
        cells[label_cell(label)] += count
    for cell, count in counted.others.items():
        cells[cell] += count
    return cells


def _total_variation(champion: Observations, candidate: Observations, totals: tuple[int, int]) -> float:
    """Return the total-variation distance between the arms' labels, a number counting as one more label."""
    if champion.others or candidate.others:
        shares = [_cells(counted) / total for counted, total in zip((champion, candidate), totals, strict=True)]
    else:
        names = sorted({*champion.labels, *candidate.labels})
        shares = [
            np.array([counted.labels.get(name, 0) for name in names]) / total
            for counted, total in zip((champion, candidate), totals, strict=True)
        ]
    gaps = shares[1] - shares[0]
    return float((np.abs(gaps).sum() + abs(gaps.sum())) / 2)
