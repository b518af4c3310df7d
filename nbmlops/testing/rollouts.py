"""Rollouts of simulated versions, judged by the real guardrails: how often they are wrong, and how soon right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import erf, log, sqrt

import numpy as np
from numpy.typing import NDArray

from nbmlops.serving.guardrails import TAIL, Observations, Rules, Verdict, judge
from nbmlops.serving.observations import edge, latency_bucket
from nbmlops.serving.sequential import log_evidence_above, log_evidence_below

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
DEFAULTS = Rules()


@dataclass(frozen=True)
class Version:
    """A version whose every request is independent of the others.

    Attributes
    ----------
    error_rate : float
    latency_s : float, seconds
        The median.
    spread : float
        The standard deviation of the latency's logarithm.
    classes : tuple of float
        The probability of each class that it predicts.
    """

    error_rate: float = 0.01
    latency_s: float = 0.01
    spread: float = 0.5
    classes: tuple[float, ...] = (0.6, 0.3, 0.1)


@dataclass(frozen=True)
class Outcome:
    """How one rollout went: the requests to both arms when a rule tripped first, and what it said; None if none did."""

    requests: int | None
    verdicts: tuple[Verdict, ...] = ()


def rollouts(
    champion: Version, candidate: Version, *, share: float, requests: int, runs: int, rules: Rules = DEFAULTS
) -> list[Outcome]:
    """Roll a version out many times, seeded, and judge it every 100 requests.

    Parameters
    ----------
    champion, candidate : Version
    share : float
        The candidate's share of the traffic, inside (0, 1).
    requests : int
        To both arms, in each rollout.
    runs : int
    rules : Rules
    """
    return [_rollout((champion, candidate), share, requests=requests, rules=rules, seed=seed) for seed in range(runs)]


@dataclass(frozen=True)
class _Arm:
    """Counts up to each look: requests and errors (n_looks,), latencies and classes (n_looks, n_cells)."""

    buckets: range
    requests: Counts
    errors: Counts
    latencies: Counts
    classes: Counts

    def at(self, look: int) -> Observations:
        seen = Observations()
        seen.requests, seen.errors = int(self.requests[look]), int(self.errors[look])
        seen.latencies = {b: int(n) for b, n in zip(self.buckets, self.latencies[look], strict=True) if n}
        seen.labels = {f"class {i}": int(n) for i, n in enumerate(self.classes[look]) if n}
        return seen


def _rollout(versions: tuple[Version, Version], share: float, *, requests: int, rules: Rules, seed: int) -> Outcome:
    step = 100
    generator = np.random.default_rng(seed)
    moved = generator.binomial(step, share, requests // step)
    buckets = _buckets(versions)
    champion, candidate = (
        _drawn(version, n, buckets=buckets, generator=generator)
        for version, n in zip(versions, (step - moved, moved), strict=True)
    )
    for look in _suspicious(champion, candidate, rules=rules):
        verdicts = judge(champion.at(look), {"2": candidate.at(look)}, rules)
        tripped = tuple(verdict for verdict in verdicts if verdict.tripped)
        if tripped:
            return Outcome((int(look) + 1) * step, tripped)
    return Outcome(None)


def _buckets(versions: tuple[Version, Version]) -> range:
    low = min(version.latency_s * np.exp(-6 * version.spread) for version in versions)
    high = max(version.latency_s * np.exp(6 * version.spread) for version in versions)
    return range(latency_bucket(low), latency_bucket(high) + 1)


def _drawn(version: Version, n: Counts, *, buckets: range, generator: np.random.Generator) -> _Arm:
    errors = generator.binomial(n, version.error_rate)
    below = [_below(edge(bucket), version) for bucket in range(buckets.start + 1, buckets.stop)]
    shares = np.diff([0.0, *below, 1.0])
    latencies = generator.multinomial(n - errors, shares)
    classes = generator.multinomial(n - errors, version.classes)
    return _Arm(buckets, *(part.cumsum(axis=0) for part in (n, errors, latencies, classes)))


def _below(seconds: float, version: Version) -> float:
    return (1 + erf(log(seconds / version.latency_s) / version.spread / sqrt(2))) / 2


def _suspicious(champion: _Arm, candidate: _Arm, *, rules: Rules) -> Iterator[int]:
    """Yield the looks at which a rule may trip.

    The evidence is the least over a parameter that both arms share; at any one value of it the product is no less.
    So a look whose product at one value is below the threshold needs no full judgement.
    """
    limits = (rules.error_margin, rules.latency_factor, rules.shift)
    threshold = log(sum(limit is not None for limit in limits) / rules.alpha)
    may = np.zeros(len(champion.requests), dtype=bool)
    if rules.error_margin is not None:
        may |= _errors(champion, candidate, rules.error_margin) >= threshold
    if rules.latency_factor is not None:
        may |= _latency(champion, candidate, rules) >= threshold
    if rules.shift is not None:
        shares = [arm.classes / np.maximum(arm.classes.sum(axis=1, keepdims=True), 1) for arm in (champion, candidate)]
        may |= np.abs(shares[1] - shares[0]).sum(axis=1) / 2 >= rules.shift
    yield from np.flatnonzero(may & (candidate.requests >= rules.minimum_requests)).tolist()


def _errors(champion: _Arm, candidate: _Arm, margin: float) -> Floats:
    pooled = (champion.errors + candidate.errors) / (champion.requests + candidate.requests)
    rate = np.clip(pooled, 1e-4, 0.9)
    below = log_evidence_below(champion.errors, champion.requests, rate)
    return below + log_evidence_above(candidate.errors, candidate.requests, rate + margin)


def _latency(champion: _Arm, candidate: _Arm, rules: Rules) -> Floats:
    final = champion.latencies[-1]
    place = int(np.searchsorted(final.cumsum(), (1 - TAIL) * final.sum()))
    ceiling = edge(champion.buckets[place] + 1)
    limit = max(ceiling * (rules.latency_factor or 1.0), ceiling + rules.latency_added_s)
    slow = np.array([edge(bucket) >= limit for bucket in champion.buckets])
    below = log_evidence_below(
        champion.latencies[:, place:].sum(axis=1), champion.latencies.sum(axis=1), _tail(champion)
    )
    beyond = candidate.latencies[:, slow].sum(axis=1)
    return below + log_evidence_above(beyond, candidate.latencies.sum(axis=1), _tail(candidate))


def _tail(arm: _Arm) -> Floats:
    return np.full(len(arm.requests), TAIL)
