"""A rollout that goes back and on by itself: simulated scorers and clocks, no process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from nbmlops.deployment.health import Notice
from nbmlops.deployment.progressive import Progressive
from nbmlops.deployment.spec import EndpointSpec, Guardrails
from nbmlops.deployment.storing import Stored
from nbmlops.deployment.watching import Watch
from nbmlops.serving.observations import Observations
from tests.deployment.conftest import an_arm

BOTH = EndpointSpec("flights", "offset", (an_arm("1", 100.0), an_arm("2", 0.0)), guardrails=Guardrails())
ROLLOUT = Progressive("2", (5.0, 25.0, 100.0), 60.0)


@dataclass
class World:
    """An endpoint whose scorer answers as it is told; clocks that are set by hand."""

    stored: Stored
    clock: float = 1000.0
    wall: float = 1e9
    told: list[Notice] = field(default_factory=list)
    refuse: bool = False

    def __post_init__(self) -> None:
        self.counts = {"1": Observations(), "2": Observations()}
        self.start()

    def start(self) -> None:
        """Start a supervisor's watch on what is stored."""
        self.watch = Watch(self.change, self.told.append, clock=lambda: self.clock, wall=lambda: self.wall)
        self.watch.follow(self.stored)
        self.look()

    async def change(self, wanted: EndpointSpec, revision: int) -> Stored:
        if self.refuse:
            raise OSError("disk full")
        assert revision == self.stored.revision
        self.stored = self.stored.followed_by(wanted, self.wall)
        self.watch.follow(self.stored)
        return self.stored

    def serve(self, requests: int, errors: int = 0) -> None:
        """Let each version answer, and version 2 fail some."""
        for version, wrong in (("1", 0), ("2", errors)):
            for place in range(requests):
                self.counts[version].observe(0.002, place < wrong, np.array([float(place % 7)]))

    def passes(self, seconds: float) -> None:
        self.clock += seconds
        self.wall += seconds

    def look(self) -> None:
        arms = {version: {"observations": counted.to_dict()} for version, counted in self.counts.items()}
        asyncio.run(self.watch.look({"scorer 0": {"pid": 7, "arms": arms}}))

    @property
    def kinds(self) -> list[str]:
        return [notice.type for notice in self.told]


def on_trial(**facts) -> World:
    spec = BOTH.with_traffic({"1": 95, "2": 5})
    return World(Stored(replace(spec, **facts), revision=3, since=1e9))


def test_a_bad_version_is_returned_to_the_split_before_it_and_told_why() -> None:
    world = on_trial()
    world.serve(200, errors=120)
    world.look()
    assert world.stored.spec.traffic == {"1": 100.0}
    assert world.stored.spec.arm("2") is not None
    assert world.kinds == ["endpoint.guardrail_tripped", "endpoint.rolled_back"]
    tripped, back = world.told
    assert (tripped.data["rule"], tripped.data["version"], tripped.data["requests"]) == ("error_rate", "2", 200)
    assert tripped.data["e_value"] >= tripped.data["threshold"]
    assert "error rate 60 % of 200" in tripped.because
    assert back.data == {"traffic": {"1": 100.0}, "previous": {"1": 95.0, "2": 5.0}, "shadows": {}, "revision": 4}
    world.look()
    assert len(world.told) == 2
    assert not world.watch.is_active


def test_an_equal_version_stays() -> None:
    world = on_trial()
    for _ in range(20):
        world.serve(100)
        world.look()
    assert world.told == []
    assert world.watch.is_active


def test_shadows_stay_when_a_candidate_goes() -> None:
    world = on_trial()
    shadow = replace(an_arm("3", 0.0), shadow=50.0)
    world.stored = replace(world.stored, spec=replace(world.stored.spec, arms=(*world.stored.spec.arms, shadow)))
    world.start()
    world.serve(200, errors=150)
    world.look()
    assert (world.stored.spec.traffic, world.stored.spec.shadows) == ({"1": 100.0}, {"3": 50.0})


def test_a_rollout_goes_on_after_the_hold_and_enough_requests() -> None:
    world = on_trial(progressive=ROLLOUT)
    world.serve(150)
    world.passes(59.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 95.0, "2": 5.0}
    world.passes(1.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 75.0, "2": 25.0}
    world.passes(600.0)
    world.look()
    world.look()
    assert world.stored.spec.traffic == {"1": 75.0, "2": 25.0}, "the step before this one answered those requests"
    world.serve(150)
    world.look()
    assert world.stored.spec.traffic == {"2": 100.0}
    assert world.kinds == ["endpoint.rollout_advanced", "endpoint.rollout_finished"]
    assert "version 2 held 5 % for 1 min; no guardrail tripped" in world.told[0].because
    assert not world.watch.is_active


def test_a_bad_version_ends_its_rollout_even_where_the_next_step_is_due() -> None:
    world = on_trial(progressive=ROLLOUT)
    world.serve(200, errors=120)
    world.passes(600.0)
    world.look()
    assert (world.stored.spec.traffic, world.stored.spec.progressive) == ({"1": 100.0}, None)
    assert world.kinds[-1] == "endpoint.rolled_back"


def test_without_guardrails_a_rollout_goes_on_and_says_so() -> None:
    world = on_trial(progressive=ROLLOUT, guardrails=None)
    world.serve(200, errors=200)
    world.passes(60.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 75.0, "2": 25.0}
    assert "no guardrail is on" in world.told[0].because


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_clock_that_jumps_brings_no_step_early_and_none_late(jump: float) -> None:
    world = on_trial(progressive=ROLLOUT)
    world.serve(150)
    world.wall += jump
    world.passes(59.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 95.0, "2": 5.0}
    world.passes(1.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 75.0, "2": 25.0}


def test_a_supervisor_that_was_killed_waits_for_the_rest_of_the_hold() -> None:
    world = on_trial(progressive=ROLLOUT)
    world.passes(40.0)
    world.counts = {"1": Observations(), "2": Observations()}
    world.start()
    world.serve(150)
    world.passes(19.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 95.0, "2": 5.0}
    world.passes(1.0)
    world.look()
    assert world.stored.spec.traffic == {"1": 75.0, "2": 25.0}


def test_what_could_not_be_changed_is_tried_again() -> None:
    world = on_trial()
    world.serve(200, errors=120)
    world.refuse = True
    with pytest.raises(OSError, match="disk full"):
        world.look()
    assert world.told == []
    world.refuse = False
    world.look()
    assert world.stored.spec.traffic == {"1": 100.0}


def test_the_state_tells_the_candidates_standing_and_the_next_step() -> None:
    world = on_trial(progressive=ROLLOUT)
    world.serve(60)
    world.passes(15.0)
    world.look()
    state = world.watch.state()
    (judged,) = state["judged"]
    assert (judged["candidate"], judged["requests"], judged["errors"], judged["tripped"]) == ("2", 60, 0, "")
    assert state["next"] == {"in_s": 45.0, "requests": 60, "requests_needed": 100}
