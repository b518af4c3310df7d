"""Guardrails: counts of several scorers, of one that was replaced, of this split alone; and what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.deployment.guarding import Guard, observed, rules_of
from nbmlops.deployment.spec import EndpointSpec, Guardrails
from nbmlops.serving.observations import Observations
from tests.deployment.conftest import an_arm

TRIAL = EndpointSpec("flights", "offset", (an_arm("1", 100.0), an_arm("2", 0.0)), guardrails=Guardrails()).with_traffic(
    {"1": 90, "2": 10}
)


def counts(requests: int, errors: int = 0, seconds: float = 0.002) -> dict:
    seen = Observations()
    for place in range(requests):
        seen.observe(seconds, place < errors, np.array(["a" if place % 2 else "b"]))
    return seen.to_dict()


def guard(spec: EndpointSpec = TRIAL) -> Guard:
    made = Guard()
    made.begin(spec)
    made.count({})
    return made


def test_scorers_add_and_one_that_was_replaced_still_counts() -> None:
    watching = guard()
    watching.count({11: {"2": counts(30)}, 12: {"2": counts(20)}})
    watching.count({12: {"2": counts(25)}, 13: {"2": counts(5)}})
    assert watching.requests("2") == 60
    assert watching.requests("1") == 0


def test_what_was_counted_before_the_split_does_not_count() -> None:
    watching = Guard()
    watching.begin(TRIAL)
    watching.count({11: {"1": counts(500, 400), "2": counts(50, 50)}})
    assert (watching.requests("1"), watching.requests("2")) == (0, 0)
    watching.count({11: {"1": counts(600, 400), "2": counts(60, 50)}})
    (judged,) = watching.judge()
    assert (judged.requests, judged.errors, judged.tripped) == (10, 0, "")
    watching.count({11: {"1": counts(3), "2": counts(4)}})  # a scorer that counts anew
    assert (watching.requests("1"), watching.requests("2")) == (3, 4)


def test_a_new_split_counts_anew_and_a_shadow_does_not() -> None:
    watching = guard()
    watching.count({11: {"2": counts(30)}})
    shadowed = replace(TRIAL, arms=(*TRIAL.arms, replace(an_arm("3", 0.0), shadow=50.0)))
    watching.begin(shadowed)
    assert watching.requests("2") == 30
    watching.begin(shadowed.with_traffic({"1": 50, "2": 50}))
    watching.count({11: {"2": counts(40)}})
    assert watching.requests("2") == 0


def test_a_candidate_that_fails_trips_and_an_equal_one_does_not() -> None:
    watching = guard()
    watching.count({11: {"1": counts(900), "2": counts(100)}})
    (judged,) = watching.judge()
    assert (judged.candidate, judged.champion, judged.tripped) == ("2", "1", "")
    assert judged.p95_s == pytest.approx(0.002, rel=0.1)
    watching.count({11: {"1": counts(1800), "2": counts(200, 100)}})
    (judged,) = watching.judge()
    assert judged.tripped == "error_rate"
    assert judged.e_value >= judged.threshold
    assert "error rate 50 % of 200" in judged.because


def test_nothing_is_judged_without_guardrails_or_without_a_candidate() -> None:
    for spec in (replace(TRIAL, guardrails=None), TRIAL.with_traffic({"1": 100})):
        watching = guard(spec)
        watching.count({11: {"1": counts(200), "2": counts(200, 200)}})
        assert watching.judge() == []


def test_rules_may_be_set_and_switched_off_by_name() -> None:
    rules = rules_of(replace(TRIAL, guardrails=Guardrails({"shift": None, "error_margin": 0.5})))
    assert (rules.shift, rules.error_margin) == (None, 0.5)
    with pytest.raises(InvalidInput, match=r"no guardrail 'mood'.*error_margin"):
        rules_of(replace(TRIAL, guardrails=Guardrails({"mood": 1.0})))
    with pytest.raises(InvalidInput, match="can't be held"):
        rules_of(replace(TRIAL, guardrails=Guardrails({"alpha": 2.0})))


def test_figures_without_counts_are_figures() -> None:
    figures = {"scorer": {"pid": 5, "arms": {"1": {"requests": 3}, "2": {"observations": counts(1)}}}}
    assert list(observed(figures)[5]) == ["2"]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20)), max_size=30), st.integers(0, 30))
def test_however_scorers_come_and_go_each_request_counts_once(events, split_at) -> None:
    """Each event is a scorer that counts some more requests; a new split comes in between."""
    watching, totals, expected = Guard(), {}, 0
    watching.begin(TRIAL)
    watching.count({})
    for place, (pid, more) in enumerate(events):
        if place == split_at:
            watching.begin(TRIAL.with_traffic({"1": 50, "2": 50}))
            watching.count({pid: {"2": counts(total)} for pid, total in totals.items()})
            expected = 0
        totals[pid] = totals.get(pid, 0) + more
        expected += more
        watching.count({pid: {"2": counts(totals[pid])}})
    assert watching.requests("2") == expected
