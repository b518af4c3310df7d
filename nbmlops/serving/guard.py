"""Guardrails where one process serves alone, as in an image: it judges its own counts and takes a bad version out.

Behind a supervisor, which sums the counts of several scorers and keeps a journal, this stays idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from .configuration import ServingConfig
from .guardrails import Rules, Verdict, judge
from .observations import Observations

PAUSE_S = 0.25  # seconds between two looks


@dataclass(frozen=True)
class Alarm:
    """A version that broke a rule.

    Attributes
    ----------
    verdict : Verdict
    weights : dict of str to float
        Of every arm that carries traffic, without that version.
    """

    verdict: Verdict
    weights: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for the outbox."""
        return {"event": "guardrail_tripped", **msgspec.structs.asdict(self.verdict), "traffic": self.weights}


def alarm(config: ServingConfig, observed: dict[str, Observations], rules: Rules) -> Alarm | None:
    """Return the strongest alarm of a split of traffic, or None.

    The arm with the largest weight is the champion where the configuration names none, the first of equals; the
    others are candidates, and what a bad one had goes to the champion.

    Parameters
    ----------
    config : ServingConfig
    observed : dict of str to Observations
        What each arm counted since the split.
    rules : Rules
    """
    weights = {arm.name: arm.weight for arm in config.arms if arm.weight > 0}
    if len(weights) < 2:
        return None
    champion = config.champion if config.champion in weights else max(weights, key=lambda name: weights[name])
    candidates = {name: observed[name] for name in weights if name != champion}
    tripped = [verdict for verdict in judge(observed[champion], candidates, rules) if verdict.tripped]
    if not tripped:
        return None
    worst = max(tripped, key=lambda verdict: verdict.e_value)
    weights[champion] += weights.pop(worst.arm)
    return Alarm(worst, weights)


def without(config: ServingConfig, found: Alarm) -> ServingConfig:
    """Return the configuration with the weights of an alarm; the bad version stays loaded and gets no traffic."""
    arms = [msgspec.structs.replace(arm, weight=found.weights.get(arm.name, 0.0)) for arm in config.arms]
    return msgspec.structs.replace(config, arms=arms)


async def watch(
    look: Callable[[], tuple[ServingConfig, dict[str, Observations]]],
    apply: Callable[[ServingConfig], Any],
    tell: Callable[[dict[str, Any]], None],
) -> None:
    """Judge for ever, and take out what breaks a rule.

    Parameters
    ----------
    look : callable
        Returns the configuration in force and what its arms counted since it came into force.
    apply : callable
        Brings another configuration into force; may be awaited.
    tell : callable
        Takes each alarm as plain data.
    """
    while True:
        await asyncio.sleep(PAUSE_S)
        config, observed = look()
        found = None if config.guardrails is None else alarm(config, observed, config.guardrails)
        if found is not None:
            await apply(without(config, found))
            tell(found.to_dict())
