"""Guardrails: what the scorers counted since the last split, summed, and what it says of each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record
from nbmlops.deployment.spec import EndpointSpec

if TYPE_CHECKING:
    from nbmlops.serving.guardrails import Rules, Verdict
    from nbmlops.serving.observations import Observations

Counts = Mapping[str, Any]  # numbers, and mappings of them: what `Observations.to_dict` gives
SLOW = 0.95


@dataclass(frozen=True)
class Judged(Record):
    """How a candidate stands against the champion.

    Attributes
    ----------
    candidate, champion : str
    requests, errors : int
        Of the candidate, since the last split.
    p95_s : float or None, seconds
        Its 95th percentile of latency; None before it answered.
    p95_champion_s : float or None, seconds
    told : tuple of str
        What each rule says, one sentence each.
    tripped : str
        The rule that raised an alarm, empty where none did.
    because : str
        What that rule says.
    e_value, threshold : float
        The evidence of that rule, and what it had to reach.
    """

    candidate: str
    champion: str
    requests: int
    errors: int
    p95_s: float | None
    p95_champion_s: float | None
    told: tuple[str, ...] = ()
    tripped: str = ""
    because: str = ""
    e_value: float = 0.0
    threshold: float = 0.0


class Guard:
    """Counts of one split: those of every scorer, of one that was replaced too."""

    def __init__(self) -> None:
        self._spec: EndpointSpec | None = None
        self._fresh = True
        self._before: dict[int, Mapping[str, Counts]] = {}
        self._latest: dict[int, Mapping[str, Counts]] = {}

    def begin(self, spec: EndpointSpec) -> None:
        """Follow `spec`; where the split or a version behind it is another one, count anew."""
        if self._spec is None or _counted(self._spec) != _counted(spec):
            self._fresh = True
            self._before, self._latest = {}, {}
        self._spec = spec

    def count(self, seen: Mapping[int, Mapping[str, Counts]]) -> None:
        """Take what scorers counted since they started.

        Parameters
        ----------
        seen : mapping
            Scorer's pid -> version -> counts. The first look after a split tells what belongs to the one before.
        """
        if self._fresh:
            self._before, self._fresh = dict(seen), False
        self._latest.update(seen)

    def requests(self, version: str) -> int:
        """Return how many requests `version` got since the split."""
        return self._sum(version).requests

    def judge(self) -> list[Judged]:
        """Return how each candidate stands; empty where nothing is judged."""
        spec = self._spec
        if spec is None or spec.guardrails is None or not spec.candidates:
            return []
        from nbmlops.serving.guardrails import judge

        champion = self._sum(spec.champion)
        candidates = {version: self._sum(version) for version in spec.candidates}
        verdicts = judge(champion, candidates, rules_of(spec))
        return [
            _judged(
                version,
                spec.champion,
                counted=(counted, champion),
                verdicts=[one for one in verdicts if one.arm == version],
            )
            for version, counted in candidates.items()
        ]

    def _sum(self, version: str) -> Observations:
        from nbmlops.serving.observations import Observations

        parts = []
        for pid, versions in self._latest.items():
            counts = versions.get(version)
            if counts is not None:
                parts.append(Observations.from_dict(_since(counts, self._before.get(pid, {}).get(version, {}))))
        return Observations.merged(parts)


def rules_of(spec: EndpointSpec) -> Rules:
    """Return the rules that candidates at `spec` are held to.

    Raises
    ------
    InvalidInput
        A rule has no such name, or its limit makes no sense.
    """
    from nbmlops.serving.guardrails import Rules

    given = dict(spec.guardrails.rules) if spec.guardrails else {}
    unknown = [name for name in given if name not in Rules.__struct_fields__]
    if unknown:
        known = ", ".join(Rules.__struct_fields__)
        raise InvalidInput(f"there is no guardrail {unknown[0]!r}", expected=f"some of {known}")
    try:
        return msgspec.convert(given, Rules)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the guardrails can't be held: {error}", expected="limits as their help says") from error


def observed(figures: Mapping[Any, Mapping[str, Any]]) -> dict[int, dict[str, Counts]]:
    """Return the counts in the figures of an endpoint's scorers: pid -> version -> counts."""
    return {
        of_one["pid"]: {
            version: arm["observations"] for version, arm in of_one["arms"].items() if "observations" in arm
        }
        for of_one in figures.values()
    }


def _counted(spec: EndpointSpec) -> Any:
    """Return what must stay the same for counts to go on."""
    return [(arm.version, arm.digest, arm.weight) for arm in spec.arms if arm.weight > 0]


def _since(counts: Counts, before: Counts) -> dict[str, Any]:
    """Return what was counted after `before`; all of it where the counting began anew."""
    if counts.get("requests", 0) < before.get("requests", 0):
        before = {}
    return {
        name: _less(count, before.get(name, {})) if isinstance(count, Mapping) else count - before.get(name, 0)
        for name, count in counts.items()
    }


def _less(counts: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in counts.items() if count != before.get(name, 0)}


def _judged(
    version: str, champion: str, *, counted: tuple[Observations, Observations], verdicts: list[Verdict]
) -> Judged:
    from nbmlops.serving.observations import percentile

    alarm = max((one for one in verdicts if one.tripped), key=lambda one: one.e_value, default=None)
    return Judged(
        candidate=version,
        champion=champion,
        requests=counted[0].requests,
        errors=counted[0].errors,
        p95_s=percentile(counted[0].latencies, SLOW),
        p95_champion_s=percentile(counted[1].latencies, SLOW),
        told=tuple(one.because for one in verdicts),
        tripped=alarm.rule if alarm else "",
        because=alarm.because if alarm else "",
        e_value=alarm.e_value if alarm else 0.0,
        threshold=alarm.threshold if alarm else 0.0,
    )
