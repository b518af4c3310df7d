"""A progressive rollout: a candidate's share of the traffic grows step by step, each held for a time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record

WHOLE = 100.0  # percent
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)?")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LEAST_REQUESTS = 100  # that the candidate must have answered in a step before the next one


@dataclass(frozen=True)
class Progressive(Record):
    """How far a rollout is, and how it goes on.

    Attributes
    ----------
    candidate : str
        The version whose share grows.
    steps : tuple of float, percent
        Its shares, each larger than the one before; the last may be less than 100.
    hold_s : float, seconds
        The least time that each step lasts.
    position : int
        The step that it is at, from 0.
    requests : int
        That the candidate must have answered in a step before the next one.
    """

    candidate: str
    steps: tuple[float, ...]
    hold_s: float
    position: int = 0
    requests: int = LEAST_REQUESTS

    def __post_init__(self) -> None:
        shown = ",".join(f"{step:g}" for step in self.steps)
        rising = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not rising or not all(0 < step <= WHOLE for step in self.steps):
            raise InvalidInput(
                f"the steps are {shown or 'none'}", expected="rising percentages up to 100, as in 5,25,50,100"
            )
        if not (math.isfinite(self.hold_s) and self.hold_s >= 0):
            raise InvalidInput(f"the hold is {self.hold_s!r} s", expected="a time, as in 10m or 30s")
        if not 0 <= self.position < len(self.steps):
            raise InvalidInput(f"the rollout is at step {self.position}", expected=f"0 to {len(self.steps) - 1}")
        if self.requests < 0:
            raise InvalidInput(f"a step asks for {self.requests} requests", expected="0 or more")

    @property
    def share(self) -> float:
        """The candidate's share now, percent."""
        return self.steps[self.position]

    @property
    def next_share(self) -> float | None:
        """The candidate's share in the next step, percent; None in the last one."""
        return self.steps[self.position + 1] if self.position + 1 < len(self.steps) else None

    def advanced(self) -> Progressive | None:
        """Return the rollout one step further; None where that step is the last, which nothing follows."""
        last = self.position + 1 >= len(self.steps) - 1
        return None if last else replace(self, position=self.position + 1)

    def __str__(self) -> str:
        return f"{', '.join(f'{step:g}' for step in self.steps)} %, each for {duration(self.hold_s)} at least"


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(600), duration(90), duration(0.5)
    ('10 min', '90 s', '0.5 s')
    """
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def remaining(hold_s: float, since: float, now: float) -> float:
    """Return the seconds of a hold that are left, by the wall clock; never more than the hold, never less than 0.

    Parameters
    ----------
    since, now : float, seconds since the epoch
        A clock that was set back in between makes it the whole hold.
    """
    return min(hold_s, max(0.0, since + hold_s - now))


class Pace:
    """When the next step of a rollout may come, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._progressive: Progressive | None = None
        self._until = 0.0

    def begin(self, progressive: Progressive | None, *, since: float, now: float, clock: float) -> None:
        """Follow a rollout; a step that it is at already goes on.

        Parameters
        ----------
        since, now : float, seconds since the epoch
            When the step began, and now.
        clock : float, seconds
            Now, by the monotonic clock.
        """
        if progressive is not None and progressive != self._progressive:
            self._until = clock + remaining(progressive.hold_s, since, now)
        self._progressive = progressive

    def is_due(self, clock: float, requests: int) -> bool:
        """Whether the next step may come, after the candidate answered `requests` in this one."""
        at = self._progressive
        return at is not None and at.next_share is not None and clock >= self._until and requests >= at.requests

    def wait(self, clock: float) -> float:
        """Return the seconds that the step is still held."""
        return max(0.0, self._until - clock)


def parse_duration(text: float | str) -> float:
    """Read a time: seconds, or a number with its unit.

    >>> parse_duration("10m"), parse_duration("1.5h"), parse_duration("30 s"), parse_duration(2)
    (600.0, 5400.0, 30.0, 2.0)

    Raises
    ------
    InvalidInput
    """
    match = DURATION.fullmatch(str(text).strip())
    if match is None:
        raise InvalidInput(f"{text!r} is no time", expected="a number of seconds, or 30s, 10m, 2h, 1d")
    return float(match[1]) * UNITS[(match[2] or "s")[0]]
