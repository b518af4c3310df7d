"""What an endpoint may be, and what becomes of its split."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbmlops.core.errors import InvalidInput
from nbmlops.deployment.progressive import Progressive
from nbmlops.deployment.spec import Capture, EndpointSpec, Resources, check_traffic, format_traffic
from tests.deployment.conftest import an_arm


def spec(**facts) -> EndpointSpec:
    return EndpointSpec(**{"endpoint": "flights", "model": "offset", "arms": (an_arm(),), **facts})


def test_an_endpoint_has_a_name_without_slash() -> None:
    with pytest.raises(InvalidInput, match=r"is no endpoint name.*Try 'a-b'"):
        spec(endpoint="a/b")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"arms": ()}, "has no arm"),
        ({"port": 0}, "port is 0"),
        ({"port": 65536}, "port is 65536"),
        ({"idle_hours": 0.0}, "idle_hours is 0"),
        ({"arms": (an_arm("1", 50.0),)}, "sum to 50"),
        ({"arms": (an_arm("1", 50.0), an_arm("1", 50.0))}, "not distinct"),
    ],
)
def test_what_an_endpoint_may_not_be(facts, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        spec(**facts)


@pytest.mark.parametrize(
    "facts", [{"cpu": 0.0}, {"cpu": float("nan")}, {"memory_mib": 0}, {"workers": 0}, {"workers": 1000}]
)
def test_resources_are_positive(facts) -> None:
    with pytest.raises(InvalidInput, match=next(iter(facts)).partition("_")[0]):
        Resources(**facts)


@pytest.mark.parametrize(
    ("traffic", "message"),
    [
        ({"1": 90.0, "2": 20.0}, "1=90 2=20 sum to 110"),
        ({"1": 100.0, "3": 0.0}, "version '3' is not at this endpoint"),
        ({"1": 110.0, "2": -10.0}, "share of version 2 is -10"),
        ({"1": float("nan")}, "share of version 1 is nan"),
    ],
)
def test_what_a_split_may_not_be(traffic, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_traffic(traffic, ["1", "2"])


def test_a_new_split_keeps_the_other_arms_warm() -> None:
    both = spec(arms=(an_arm("1", 90.0), an_arm("2", 10.0)))
    moved = both.with_traffic({"2": 100.0})
    assert moved.traffic == {"2": 100.0}
    assert moved.arm("1") == an_arm("1", 0.0)
    with pytest.raises(InvalidInput, match="version '3' is not at this endpoint"):
        both.with_traffic({"3": 100.0})
    assert format_traffic(both.traffic) == "1=90 2=10"


def with_arms(**weights: float) -> EndpointSpec:
    return spec(arms=tuple(an_arm(name.removeprefix("v"), weight) for name, weight in weights.items()))


def test_what_gets_traffic_anew_is_on_trial_beside_what_had_some() -> None:
    trial = with_arms(v1=100.0, v2=0.0).with_traffic({"1": 90, "2": 10})
    assert trial.candidates == {"2": {"1": 100.0}}
    assert trial.champion == "1"
    more = trial.with_traffic({"1": 50, "2": 50})
    assert more.candidates == {"2": {"1": 100.0}}
    assert more.with_traffic({"2": 100}).candidates == {}


def test_a_second_candidate_goes_back_to_the_split_with_the_first() -> None:
    first = with_arms(v1=100.0, v2=0.0, v3=0.0).with_traffic({"1": 90, "2": 10})
    both = first.with_traffic({"1": 80, "2": 10, "3": 10})
    assert both.candidates == {"2": {"1": 100.0}, "3": {"1": 90.0, "2": 10.0}}
    assert both.returned_from("3").traffic == {"1": 90.0, "2": 10.0}
    assert both.returned_from("3").candidates == {"2": {"1": 100.0}}
    assert both.returned_from("2").traffic == {"1": 100.0}


def test_what_nothing_proven_stands_beside_is_not_on_trial() -> None:
    assert with_arms(v1=100.0, v2=0.0, v3=0.0).with_traffic({"2": 50, "3": 50}).candidates == {}
    last = with_arms(v1=100.0, v2=0.0, v3=0.0).with_traffic({"1": 90, "2": 10}).with_traffic({"2": 50, "3": 50})
    assert (last.champion, last.candidates) == ("2", {"3": {"1": 90.0, "2": 10.0}})


def test_going_back_puts_nothing_on_trial() -> None:
    assert with_arms(v1=0.0, v2=100.0).with_traffic({"1": 50, "2": 50}, back=True).candidates == {}


def test_a_split_that_is_gone_is_returned_to_as_far_as_it_is_loaded() -> None:
    both = with_arms(v1=50.0, v2=50.0, v3=0.0).with_traffic({"2": 90, "3": 10})
    without = replace(both, arms=tuple(arm for arm in both.arms if arm.version != "1"))
    assert without.returned_from("3").traffic == {"2": 100.0}
    alone = replace(both, candidates={"3": {"9": 100.0}})
    assert alone.returned_from("3").traffic == {"2": 100.0}


def test_a_shadow_with_traffic_is_a_shadow_no_longer_and_the_others_stay() -> None:
    shadows = with_arms(v1=100.0, v2=0.0, v3=0.0).with_shadows({"2": 50, "3": 10})
    assert shadows.shadows == {"2": 50.0, "3": 10.0}
    moved = shadows.with_traffic({"1": 90, "2": 10})
    assert moved.shadows == {"3": 10.0}
    assert moved.returned_from("2").shadows == {"3": 10.0}
    assert moved.with_shadows({"3": 0}).shadows == {}


@pytest.mark.parametrize(
    ("shadows", "message"),
    [({"9": 5}, "version '9' is not at this endpoint"), ({"1": 5}, "has 100 % of the traffic"), ({"2": 101}, "101")],
)
def test_what_may_not_be_a_shadow(shadows, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        with_arms(v1=100.0, v2=0.0).with_shadows(shadows)


def test_a_share_beside_others_leaves_them_the_rest_in_proportion() -> None:
    three = with_arms(v1=60.0, v2=20.0, v3=20.0)
    assert three.shares_beside("3", 50) == {"1": 37.5, "2": 12.5, "3": 50}
    assert three.shares_beside("3", 100) == {"3": 100}
    with pytest.raises(InvalidInput, match="is alone at this endpoint"):
        with_arms(v1=100.0).shares_beside("1", 50)
    with pytest.raises(InvalidInput, match="the share of version 3 is 101"):
        three.shares_beside("3", 101)


def test_a_rollout_grows_step_by_step_and_ends_with_the_last() -> None:
    at = replace(
        with_arms(v1=100.0, v2=0.0).with_traffic({"1": 95, "2": 5}),
        progressive=Progressive("2", (5.0, 25.0, 100.0), 60.0),
    )
    second = at.stepped()
    assert (second.traffic, second.candidates) == ({"1": 75.0, "2": 25.0}, {"2": {"1": 100.0}})
    assert second.progressive == Progressive("2", (5.0, 25.0, 100.0), 60.0, position=1)
    last = second.stepped()
    assert (last.traffic, last.progressive, last.candidates) == ({"2": 100.0}, None, {})
    assert at.with_traffic({"1": 50, "2": 50}).progressive is None
    assert at.with_shadows({}).progressive == at.progressive


@pytest.mark.parametrize("capture", [{"mode": "off"}, {"sample": 0.0}, {"sample": 1.5}, {"sample": float("nan")}])
def test_what_capture_may_not_be(capture) -> None:
    with pytest.raises(InvalidInput, match=next(iter(capture)).replace("mode", "capture")):
        Capture(**capture)
