"""Compares a shadow's answers with those that callers got, pair by pair, by counts that add."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .agreement import KEPT, Disagreement, compare
from .observations import add_counts, by_number, latency_bucket, percentile
from .outputs import Outputs
from .sequential import mean_interval, needed_to_decide, proportion_interval

WHOLE = 1_000_000
"""The share of a request's rows that agree is counted in millionths, so that counts stay whole numbers."""

_ENOUGH_FOR_A_LIMIT = 30
_MEASURABLE = 1e100


class Comparison:
    """What one shadow's answers were against the callers', as counts.

    A request is one observation, however many rows it has: the rows of one request depend on each other.

    Attributes
    ----------
    pairs, rows : int
        Requests that both answered, and their rows.
    equal, agreeing : int, millionths
        Sums of the share of each request's rows whose answers are the same, or within the tolerance.
    measured : int
        Pairs of numbers or probabilities, of which the difference could be taken.
    total, squares, absolute, absolute_squares : float
        Sums over those of a request's mean difference and mean absolute difference, and of their squares.
    errors : int
        Requests that the shadow failed and the champion did not.
    dropped : int
        Copies that never reached the shadow, since it was behind.
    latencies_champion, latencies_shadow : dict of int to int
        Of the pairs, by `latency_bucket`.
    largest : list of Disagreement
        At most `KEPT`.
    """

    __slots__ = (
        "absolute",
        "absolute_squares",
        "agreeing",
        "dropped",
        "equal",
        "errors",
        "largest",
        "latencies_champion",
        "latencies_shadow",
        "measured",
        "pairs",
        "rows",
        "squares",
        "total",
    )

    def __init__(self) -> None:
        self.pairs = self.rows = self.equal = self.agreeing = self.measured = self.errors = self.dropped = 0
        self.total = self.squares = self.absolute = self.absolute_squares = 0.0
        self.latencies_champion: dict[int, int] = {}
        self.latencies_shadow: dict[int, int] = {}
        self.largest: list[Disagreement] = []

    def observe(
        self,
        prediction: str,
        champion: Outputs,
        shadow: Outputs | None,
        *,
        seconds_champion: float,
        seconds_shadow: float,
        failed: bool = False,
    ) -> None:
        """Count one request that a shadow got a copy of.

        Parameters
        ----------
        prediction : str
            The request's prediction id.
        champion : Outputs
            What the caller got.
        shadow : Outputs, optional
            None when the shadow failed.
        seconds_champion, seconds_shadow : float
        failed : bool
            Whether the shadow failed.
        """
        if failed or shadow is None:
            self.errors += 1
            return
        pair = compare(prediction, champion, shadow)
        if not pair.rows:
            return
        self.pairs += 1
        self.rows += pair.rows
        self.equal += WHOLE * pair.equal // pair.rows
        self.agreeing += WHOLE * pair.agreeing // pair.rows
        for latencies, seconds in (
            (self.latencies_champion, seconds_champion),
            (self.latencies_shadow, seconds_shadow),
        ):
            bucket = latency_bucket(seconds)
            latencies[bucket] = latencies.get(bucket, 0) + 1
        if pair.difference is not None and pair.absolute is not None:
            self._measure(pair.difference, pair.absolute)
        if pair.largest:
            self._keep(pair.largest)

    def drop(self) -> None:
        """Count one copy that never reached the shadow."""
        self.dropped += 1

    def _measure(self, mean: float, absolute: float) -> None:
        if not absolute <= _MEASURABLE:
            return
        self.measured += 1
        self.total += mean
        self.squares += mean * mean
        self.absolute += absolute
        self.absolute_squares += absolute * absolute

    def _keep(self, found: Iterable[Disagreement]) -> None:
        self.largest = heapq.nlargest(KEPT, [*self.largest, *found], key=lambda one: one.rank)

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison.merged([self, other])

    @classmethod
    def merged(cls, parts: Iterable[Comparison]) -> Comparison:
        """Return the sum of what several processes counted."""
        whole = cls()
        for part in parts:
            for name in _SUMS:
                setattr(whole, name, getattr(whole, name) + getattr(part, name))
            add_counts(whole.latencies_champion, part.latencies_champion)
            add_counts(whole.latencies_shadow, part.latencies_shadow)
            whole._keep(part.largest)
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        sums = {name: getattr(self, name) for name in _SUMS}
        latencies = {
            name: {str(bucket): count for bucket, count in getattr(self, name).items()} for name in _HISTOGRAMS
        }
        return {**sums, **latencies, "largest": [msgspec.structs.asdict(one) for one in self.largest]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Comparison:
        """Return the counts that `to_dict` wrote."""
        read = cls()
        for name in _SUMS:
            setattr(read, name, document[name])
        for name in _HISTOGRAMS:
            setattr(read, name, by_number(document[name]))
        read.largest = [Disagreement(**one) for one in document["largest"]]
        return read


_HISTOGRAMS = ("latencies_champion", "latencies_shadow")
_SUMS = tuple(name for name in Comparison.__slots__ if name not in (*_HISTOGRAMS, "largest"))


class Report(msgspec.Struct, frozen=True):
    """What the pairs counted so far tell.

    Attributes
    ----------
    pairs, rows, errors, dropped : int
        As in `Comparison`.
    agreement : float, optional
        The mean share of a request's rows that agree; None without a pair.
    agreement_interval : (float, float)
        Holds the true one at all looks at once with probability ``1 - alpha``.
    equal : float, optional
        The mean share that is the same to the last bit.
    measured : int
        Pairs whose difference could be taken.
    difference, absolute : float, optional
        The mean difference, shadow minus champion, and the mean absolute difference.
    difference_interval, absolute_interval : (float, float), optional
        Likewise, asymptotically; None before there are 30 pairs.
    latency_champion, latency_shadow : (float, float), seconds, optional
        The median and the 95th percentile.
    largest : list of Disagreement
    threshold, alpha : float
    needed : int, optional
        About how many more pairs tell whether agreement is above the threshold; 0 when that is known, None when no
        number in reach would.
    verdict : str
        The same as a sentence.
    """

    pairs: int
    rows: int
    errors: int
    dropped: int
    agreement: float | None
    agreement_interval: tuple[float, float]
    equal: float | None
    measured: int
    difference: float | None
    difference_interval: tuple[float, float] | None
    absolute: float | None
    absolute_interval: tuple[float, float] | None
    latency_champion: tuple[float, float] | None
    latency_shadow: tuple[float, float] | None
    largest: list[Disagreement]
    threshold: float
    alpha: float
    needed: int | None
    verdict: str


def report(comparison: Comparison, *, alpha: float = 0.05, threshold: float = 0.99) -> Report:
    """Return what a comparison tells so far.

    Parameters
    ----------
    comparison : Comparison
    alpha : float
        The probability that an interval ever misses, each for itself.
    threshold : float
        The agreement, inside (0, 1), about which the verdict is.
    """
    counted, n = comparison, comparison.pairs
    agreeing = counted.agreeing / WHOLE
    interval = proportion_interval(agreeing, n, alpha)
    needed = needed_to_decide(agreeing, n, threshold, alpha=alpha)
    measured = counted.measured
    difference = _mean(measured, counted.total, counted.squares, alpha=alpha)
    absolute = _mean(measured, counted.absolute, counted.absolute_squares, alpha=alpha)
    return Report(
        pairs=n,
        rows=counted.rows,
        errors=counted.errors,
        dropped=counted.dropped,
        agreement=agreeing / n if n else None,
        agreement_interval=interval,
        equal=counted.equal / WHOLE / n if n else None,
        measured=measured,
        difference=difference[0],
        difference_interval=difference[1],
        absolute=absolute[0],
        absolute_interval=absolute[1],
        latency_champion=_quantiles(counted.latencies_champion),
        latency_shadow=_quantiles(counted.latencies_shadow),
        largest=counted.largest,
        threshold=threshold,
        alpha=alpha,
        needed=needed,
        verdict=_verdict(n, interval, needed, threshold=threshold),
    )


def _mean(n: int, total: float, squares: float, *, alpha: float) -> tuple[float | None, tuple[float, float] | None]:
    return (total / n if n else None), (
        mean_interval(n, total, squares, alpha=alpha) if n >= _ENOUGH_FOR_A_LIMIT else None
    )


def _quantiles(latencies: Mapping[int, int]) -> tuple[float, float] | None:
    middle, slow = percentile(latencies, 0.5), percentile(latencies, 0.95)
    return None if middle is None or slow is None else (middle, slow)


def _verdict(n: int, interval: tuple[float, float], needed: int | None, *, threshold: float) -> str:
    asked = f"{100 * threshold:.4g} %"
    if needed is None:
        return f"agreement after {n:,} pairs is so near {asked} that no number of pairs in reach tells its side"
    if needed:
        return f"about {needed:,} more pairs are needed to know whether agreement is above {asked}"
    side = "above" if interval[0] >= threshold else "below"
    low, high = (f"{100 * edge:.2f}" for edge in interval)
    return f"enough: agreement is {side} {asked}, between {low} and {high} % after {n:,} pairs"
