"""Steps of a rollout, and when the next one may come whatever the wall clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.deployment.progressive import Pace, Progressive, parse_duration, remaining

ROLLOUT = Progressive("2", (5.0, 25.0, 100.0), 60.0)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"steps": ()}, "the steps are none"),
        ({"steps": (50.0, 5.0)}, "the steps are 50,5"),
        ({"steps": (5.0, 5.0)}, "rising percentages"),
        ({"steps": (0.0, 5.0)}, "rising percentages"),
        ({"steps": (5.0, 101.0)}, "rising percentages"),
        ({"steps": (float("nan"),)}, "rising percentages"),
        ({"hold_s": -1.0}, "the hold is -1"),
        ({"hold_s": float("nan")}, "the hold is nan"),
        ({"position": 3}, "at step 3"),
        ({"requests": -1}, "asks for -1 requests"),
    ],
)
def test_what_a_rollout_may_not_be(facts, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        Progressive(**{"candidate": "2", "steps": (5.0, 50.0), "hold_s": 1.0, **facts})


def test_the_last_step_is_followed_by_nothing() -> None:
    second = ROLLOUT.advanced()
    assert second is not None
    assert (ROLLOUT.share, ROLLOUT.next_share, second.share, second.next_share) == (5.0, 25.0, 25.0, 100.0)
    assert second.advanced() is None
    assert str(ROLLOUT) == "5, 25, 100 %, each for 1 min at least"


@pytest.mark.parametrize("text", ["", "soon", "-3s", "10 years", "1e3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no time"):
        parse_duration(text)


def test_a_step_ends_after_its_hold_and_its_requests() -> None:
    pace = Pace()
    pace.begin(ROLLOUT, since=1000.0, now=1000.0, clock=5.0)
    assert not pace.is_due(64.9, 100)
    assert not pace.is_due(65.0, 99)
    assert pace.is_due(65.0, 100)
    assert pace.wait(35.0) == 30.0
    pace.begin(ROLLOUT, since=1000.0, now=9999.0, clock=40.0)  # a shadow was added: the step goes on
    assert pace.wait(40.0) == 25.0
    pace.begin(ROLLOUT.advanced(), since=1060.0, now=1060.0, clock=65.0)
    assert pace.wait(65.0) == 60.0
    pace.begin(None, since=0.0, now=0.0, clock=70.0)
    assert not pace.is_due(1e9, 10**6)


def test_after_a_restart_the_rest_of_the_hold_is_waited_for() -> None:
    pace = Pace()
    pace.begin(ROLLOUT, since=1000.0, now=1045.0, clock=0.0)
    assert pace.wait(0.0) == 15.0


@given(
    jumps=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    steps=st.lists(st.floats(0.01, 10.0), min_size=20, max_size=20),
)
def test_however_the_wall_clock_jumps_a_hold_is_a_hold(jumps, steps) -> None:
    pace, clock, wall = Pace(), 100.0, 1e9
    pace.begin(ROLLOUT, since=wall, now=wall, clock=clock)
    for jump, step in zip(jumps, steps, strict=False):
        clock, wall = clock + step, wall + step + jump
        pace.begin(ROLLOUT, since=1e9, now=wall, clock=clock)
        assert pace.is_due(clock, 1000) == (clock >= 160.0)


@given(st.floats(0, 1e6), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_what_remains_is_never_more_than_the_hold(hold, since, now) -> None:
    assert 0 <= remaining(hold, since, now) <= hold
