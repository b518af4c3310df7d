"""Where a rollout stands, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from nbmlops.deployment import EndpointStatus
from nbmlops.deployment.comparing import compared
from nbmlops.deployment.progressive import Progressive
from nbmlops.deployment.spec import Capture, EndpointSpec, Guardrails
from nbmlops.deployment.splits import TrafficChange
from nbmlops.deployment.standing import capture_state, guard_state, progress, split_line
from nbmlops.serving.comparison import Comparison
from tests.deployment.conftest import an_arm

NOW = datetime(2026, 11, 23, 14, 2, 30, tzinfo=UTC)
SPEC = EndpointSpec("flights", "offset", (an_arm("1", 75.0), an_arm("2", 25.0), replace(an_arm("3", 0.0), shadow=50.0)))
ROLLOUT = replace(SPEC, progressive=Progressive("2", (5.0, 25.0, 50.0), 600.0, position=1))
JUDGED = {
    "candidate": "2",
    "champion": "1",
    "requests": 1234,
    "errors": 5,
    "p95_s": 0.0021,
    "p95_champion_s": 0.002,
    "told": ["error rate 0.4 %: e-value 1", "predictions shifted by 0.02 of 1: e-value 0.1"],
    "because": "",
}


def live(**facts) -> EndpointStatus:
    return EndpointStatus("flights", "http://x", "healthy", arms=SPEC.arms, since=NOW.timestamp(), **facts)


def test_a_rollout_tells_its_step_and_the_next_one() -> None:
    ahead = {"in_s": 570.0, "requests": 40, "requests_needed": 100}
    since = NOW.astimezone().strftime("%H:%M:%S")
    told = progress(ROLLOUT, live(rollout={"next": ahead}), NOW)
    assert told == f"version 2 at 25 % since {since}, next 50 % at 14:12:00 and 60 more requests to it"
    enough = progress(ROLLOUT, live(rollout={"next": ahead | {"requests": 100}}), NOW)
    assert enough.endswith("next 50 % at 14:12:00")
    assert progress(ROLLOUT, live()) == f"version 2 at 25 % since {since}"
    assert progress(SPEC, live()) == ""


def test_the_split_in_one_line_has_shadows_and_the_rollout() -> None:
    assert split_line(SPEC, live()) == "v1 75 %, v2 25 %; shadow v3 50 %"
    assert split_line(ROLLOUT, live()).endswith("; version 2 at 25 % since " + f"{NOW.astimezone():%H:%M:%S}")


def test_guardrails_tell_each_candidate_or_that_they_are_off() -> None:
    guarded = replace(SPEC, guardrails=Guardrails())
    told = guard_state(guarded, live(rollout={"judged": [JUDGED]}))
    assert told == (
        "version 2 against 1: 1,234 requests, 5 errors, p95 2.1 ms against 2 ms, predictions shifted by 0.02 of 1; "
        "no alarm"
    )
    silent = JUDGED | {"p95_s": None, "told": [], "because": "error rate 9 %"}
    assert guard_state(guarded, live(rollout={"judged": [silent]})).endswith("5 errors; error rate 9 %")
    assert guard_state(SPEC, live()) == "off"


def test_capture_tells_what_is_kept_and_what_fails() -> None:
    kept = replace(SPEC, capture=Capture("strict", 0.1, ("age",)))
    state = {"committed": 1200, "dropped": 3, "failing": "no space left"}
    assert capture_state(kept, live(capture=state)) == (
        "strict, 10 % of the requests, without age; 1,200 committed, 3 dropped; failing: no space left"
    )
    assert capture_state(SPEC, live()) == "off"


def test_a_change_of_traffic_shows_before_and_now() -> None:
    change = TrafficChange("flights", {"1": 100.0}, {"1": 90.0, "2": 10.0}, {}, {"3": 50.0}, NOW, ended="the rollout")
    text = change._show_().text
    for line in ("before", "1=100", "1=90 2=10", "3=50", "the rollout", "%rollback flights"):
        assert line in text
    same = TrafficChange("flights", {"1": 100.0}, {"1": 100.0})._show_().text
    assert "before" not in same
    assert "%rollback" not in same


def test_shadows_compare_over_all_scorers() -> None:
    first, second = Comparison(), Comparison()
    first.pairs = first.rows = 30
    first.agreeing = 30_000_000
    second.pairs = second.rows = 10
    second.errors = 2
    made = compared(
        "flights", [{"shadow": "3", "counts": first.to_dict()}, {"shadow": "3", "counts": second.to_dict()}]
    )
    assert made["3"].pairs == 40
    assert made[3].agreement == 0.75
    text = made._show_().text
    assert "75.00 %" in text
    assert "2 failed" in text
    assert made.to_dict()["reports"]["3"]["pairs"] == 40
    nothing = compared("flights", [])
    assert len(nothing) == 0
    assert "%traffic flights --shadow" in nothing._show_().text
