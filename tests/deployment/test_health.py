"""What is told of failing processes: each thing once, and never that all is well while it is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nbmlops.deployment.health import LONGEST_DELAY, PATIENCE, STABLE, Health


def types(notices) -> list[str]:
    return [notice.type for notice in notices]


def test_one_death_is_a_restart() -> None:
    health = Health()
    assert health.failed("scorer 0", "killed") == ()
    assert health.level(serving=False) == "degraded"
    assert health.story() == "killed"
    (notice,) = health.started("scorer 0", 0.0)
    assert (notice.type, notice.because) == ("endpoint.restarted", "killed")
    assert health.level(serving=True) == "healthy"


def test_failing_again_and_again_is_unhealthy_once_and_recovers_once() -> None:
    health, told = Health(), []
    for _ in range(PATIENCE + 3):
        told += types(health.failed("scorer 0", "killed"))
    assert told == ["endpoint.unhealthy"]
    assert health.level(serving=False) == "down"
    assert health.level(serving=True) == "degraded"
    assert health.started("scorer 0", 100.0) == ()
    assert health.passed(100.0 + STABLE / 2) == ()
    assert health.level(serving=True) == "degraded"
    assert types(health.passed(100.0 + STABLE)) == ["endpoint.recovered"]
    assert health.passed(1000.0) == ()
    assert health.level(serving=True) == "healthy"


def test_delays_grow_to_a_bound_and_begin_at_once() -> None:
    health, delays = Health(), []
    for _ in range(12):
        health.failed("scorer 0", "killed")
        delays.append(health.delay("scorer 0"))
    assert delays[0] == 0.0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    health.started("scorer 0", 0.0)
    health.passed(STABLE)
    assert health.delay("scorer 0") == 0.0


def test_what_was_taken_out_of_service_is_no_failure() -> None:
    health = Health()
    health.failed("worker 0 of version 1", "killed")
    health.forget("worker 0 of version 1")
    assert health.level(serving=True) == "healthy"


def test_a_strained_process_degrades() -> None:
    health = Health(strained={"scorer 0": "too large"})
    assert (health.level(serving=True), health.story()) == ("degraded", "too large")


@given(st.lists(st.tuples(st.sampled_from(["fail", "start", "pass"]), st.sampled_from(["a", "b"]), st.floats(0, 60))))
def test_unhealthy_and_recovered_alternate(happenings) -> None:
    health, told, now = Health(), [], 0.0
    for what, process, seconds in happenings:
        now += seconds
        if what == "fail":
            told += types(health.failed(process, "killed"))
        elif what == "start":
            told += types(health.started(process, now))
        else:
            told += types(health.passed(now))
        assert (health.level(serving=True) == "healthy") == (not health.broken and not health.reported)
    turns = [one for one in told if one != "endpoint.restarted"]
    assert turns == ["endpoint.unhealthy", "endpoint.recovered"] * (len(turns) // 2) + turns[len(turns) // 2 * 2 :]
    assert turns[::2] == ["endpoint.unhealthy"] * len(turns[::2])
