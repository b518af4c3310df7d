"""Evidence that stays valid however often it is looked at, from counts that add.

A test made once may be wrong with probability alpha; one made after every request is wrong almost surely in the end.
The e-values here hold at every look at once: under the hypothesis that they speak against, the probability that one
*ever* reaches ``1 / alpha`` is at most alpha (Ville's inequality). They depend on totals alone, never on the order of
requests, so that the counts of several processes may be summed first. They take requests of one arm to be independent
with one rate; which arm a request goes to may depend on everything that came before.

References
----------
.. [1] H. Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical
   Statistics 41(5), 1970.
.. [2] S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
   sequences", Annals of Statistics 49(2), 2021.
.. [3] A. Ramdas, P. Grünwald, V. Vovk, G. Shafer, "Game-theoretic statistics and safe anytime-valid inference",
   Statistical Science 38(4), 2023.
.. [4] I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central limit theory and
   asymptotic confidence sequences", Annals of Statistics 52(6), 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, lgamma, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

PRIOR = 0.5
_UNCHANGED = 0.25
_RATIOS = np.array([1.0, *(1 + 2.0 ** np.arange(-4, 7))])
_WEIGHTS = np.array([_UNCHANGED, *np.full(len(_RATIOS) - 1, (1 - _UNCHANGED) / (len(_RATIOS) - 1))])
_LOG_WEIGHTS = np.log(_WEIGHTS)
_ABOVE, _BELOW = np.log(_RATIOS), -np.log(_RATIOS)
_BELOW_AND_ABOVE = np.stack([_BELOW, _ABOVE])
_FARTHEST = 10**9
_HALVINGS = 24
_TUNED_FOR = 500


def log_evidence_above(successes: ArrayLike, n: ArrayLike, rate: ArrayLike) -> Floats:
    """Return the log of the e-value against "the probability of a success is at most `rate`".

    A mixture of likelihood ratios, each for one value by which the odds of a success may have grown: a quarter of the
    weight on no growth, so that an arm which tells nothing costs little, the rest even on factors from 1.06 to 65.

    Parameters
    ----------
    successes, n, rate : array_like of one shape
        Successes among `n` trials; `rate` is inside (0, 1).

    References
    ----------
    [1]_ and [3]_ of the module: the method of mixtures.

    Examples
    --------
    >>> float(log_evidence_above(30, 300, 0.05)) > float(log_evidence_above(18, 300, 0.05))
    True
    """
    return _mixture(successes, n, rate, log_ratios=_ABOVE)[0]


def log_evidence_below(successes: ArrayLike, n: ArrayLike, rate: ArrayLike) -> Floats:
    """Return the log of the e-value against "the probability of a success is at least `rate`".

    Parameters
    ----------
    successes, n, rate : array_like of one shape
        As for `log_evidence_above`.
    """
    return _mixture(successes, n, rate, log_ratios=_BELOW)[0]


def _mixture(successes: ArrayLike, n: ArrayLike, rate: ArrayLike, *, log_ratios: Floats) -> tuple[Floats, Floats]:
    """Return the log of a mixture of likelihood ratios and its derivative by the rate."""
    hits, trials, rates = (np.asarray(one, dtype=np.float64)[..., None] for one in (successes, n, rate))
    slopes = np.expm1(log_ratios)
    affine = 1 + rates * slopes
    terms = hits * log_ratios - trials * np.log(affine) + _LOG_WEIGHTS
    highest = terms.max(axis=-1, keepdims=True)
    shares = np.exp(terms - highest)
    total = shares.sum(axis=-1)
    derivative = -(shares * trials * slopes / affine).sum(axis=-1) / total
    return highest[..., 0] + np.log(total), derivative


def log_evidence_worse(
    champion: tuple[ArrayLike, ArrayLike], candidate: tuple[ArrayLike, ArrayLike], *, margin: float = 0.0
) -> Floats:
    """Return the log of the e-value against "the candidate's rate is at most the champion's plus `margin`".

    For each rate p that may lie between the two, the champion's evidence of being below p times the candidate's of
    being above ``p + margin`` is a supermartingale under the hypothesis; the least of these products over p is
    therefore an e-process [3]_. Its logarithm is convex in p (each term is minus the logarithm of an affine function),
    so bisection finds the least one. Against universal inference with independent Beta mixtures it saves the price
    of learning the common rate.

    Parameters
    ----------
    champion, candidate : (successes, n), array_like of one shape
    margin : float
        By how much the candidate may be worse, in absolute terms.

    Examples
    --------
    >>> bool(log_evidence_worse((10, 1000), (60, 1000)) > 7)
    True
    >>> bool(log_evidence_worse((60, 1000), (10, 1000)) > 0)
    False
    """
    first, n_first, second, n_second = np.broadcast_arrays(*champion, *candidate)
    hits, trials = np.stack([first, second], axis=-1), np.stack([n_first, n_second], axis=-1)
    ceiling, added = 1 - margin, np.array([0.0, margin])

    def product(log_odds: Floats) -> tuple[Floats, Floats]:
        rate = ceiling / (1 + np.exp(-log_odds))
        evidence, slope = _mixture(hits, trials, rate[..., None] + added, log_ratios=_BELOW_AND_ABOVE)
        return evidence.sum(axis=-1), slope.sum(axis=-1)

    low, high = np.full(first.shape, -25.0), np.full(first.shape, 25.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        falls = product(middle)[1] < 0
        low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    return np.minimum(product(low)[0], product(high)[0])


def log_evidence_proportion(successes: float, n: int, rate: float) -> float:
    """Return the log of the e-value against "the probability of a success is exactly `rate`".

    The likelihood of the counts, averaged over a Beta(1/2, 1/2) for the rate, over their likelihood at `rate`.
    """
    failures = n - successes
    mixed = _log_beta(successes + PRIOR, failures + PRIOR) - _log_beta(PRIOR, PRIOR)
    return mixed - _times_log(successes, rate) - _times_log(failures, 1 - rate)


def proportion_interval(successes: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of a confidence sequence for the probability of a success.

    The true rate is in the intervals of *all* n at once with probability at least ``1 - alpha``. It holds the rates
    against which `log_evidence_proportion` is below ``log(1 / alpha)``. A trial may also succeed in part, as a share
    from 0 to 1: the likelihood ratio is convex in it, so its mean is largest where it is all or nothing.

    Raises
    ------
    ValueError
        The counts or alpha are impossible.

    References
    ----------
    [1]_ and [2]_ of the module: the two-sided Beta-binomial mixture.

    Examples
    --------
    >>> [round(edge, 3) for edge in proportion_interval(990, 1000)]
    [0.974, 0.998]
    """
    if not (0 <= successes <= n and 0 < alpha < 1):
        raise ValueError(
            f"no interval for {successes} of {n} at alpha {alpha}: give 0 <= successes <= n, 0 < alpha < 1"
        )
    if n == 0:
        return 0.0, 1.0
    rate, threshold = successes / n, -log(alpha)

    def inside(p: float) -> bool:
        return log_evidence_proportion(successes, n, p) < threshold

    return _edge(rate, 0.0, inside), _edge(rate, 1.0, inside)


def _edge(inner: float, outer: float, inside: Callable[[float], bool]) -> float:
    """Return the last point on the way from `inner`, which is inside, to `outer`; rounded outwards."""
    if inner == outer or inside(outer):
        return outer
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if inside(middle) else (inner, middle)
    return outer


def needed_to_decide(successes: float, n: int, threshold: float, *, alpha: float = 0.05) -> int | None:
    """Return about how many more trials put the whole interval on one side of `threshold`.

    Parameters
    ----------
    successes, n : int
        What was seen; the rest is supposed to go on at this rate, at 1 where nothing was seen yet.
    threshold : float
        Inside (0, 1).

    Returns
    -------
    int or None
        0 when it is decided already; None where the rate is so close to the threshold that a billion would not do.

    Examples
    --------
    >>> needed_to_decide(100, 100, 0.99), needed_to_decide(800, 800, 0.99), needed_to_decide(99, 100, 0.99)
    (580, 0, None)
    """
    if _decided(successes, n, threshold, alpha=alpha):
        return 0
    rate = successes / n if n else 1.0

    def enough(more: int) -> bool:
        return _decided(successes + rate * more, n + more, threshold, alpha=alpha)

    return _fewest(enough)


def needed_for_width(successes: float, n: int, width: float, *, alpha: float = 0.05) -> int | None:
    """Return about how many more trials make the interval at most `width` wide; None for more than a billion."""
    rate = (successes + PRIOR) / (n + 2 * PRIOR)

    def enough(more: int) -> bool:
        low, high = proportion_interval(successes + rate * more, n + more, alpha)
        return high - low <= width

    return 0 if enough(0) else _fewest(enough)


def mean_interval(n: int, total: float, squares: float, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of an asymptotic confidence sequence for a mean, from the sum and the sum of squares.

    Asymptotic: it holds at all n at once as n grows, as a central limit theorem does, and not exactly at a small one.
    It is tightest at about 500 observations.

    References
    ----------
    [4]_ of the module, theorem 2.2.
    """
    if n < 2:
        return -inf, inf
    mean = total / n
    deviation = sqrt(max(squares / n - mean * mean, 0.0))
    spent = -2 * log(alpha)
    scale = n * (spent + log(spent) + 1) / _TUNED_FOR
    radius = deviation * sqrt(2 * (scale + 1) / (n * scale) * log(sqrt(scale + 1) / alpha))
    return mean - radius, mean + radius


def _decided(successes: float, n: int, threshold: float, *, alpha: float) -> bool:
    return n > 0 and log_evidence_proportion(successes, n, threshold) >= -log(alpha)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Return the least number for which `enough` holds, from where on it is taken to hold always."""
    high = 1
    while not enough(high):
        high *= 2
        if high > _FARTHEST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _times_log(count: float, value: float) -> float:
    if count == 0:
        return 0.0
    return count * log(value) if value > 0 else -inf
