"""What an endpoint may be, and that it survives being stored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import Corrupt, InvalidInput
from nbmlops.deployment.spec import EndpointSpec, Limits, Resources, check_traffic, format_traffic
from nbmlops.deployment.storing import decode, encode
from tests.deployment.conftest import an_arm

HOME = Path("/project/.nbmlops")


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


@given(
    shares=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=5),
    cpu=st.none() | st.floats(0.1, 64),
    memory=st.none() | st.integers(1, 10**6),
    port=st.none() | st.integers(1, 65535),
    timeout=st.floats(0.1, 1e4),
)
def test_stored_and_read_again_it_is_the_same(shares, cpu, memory, port, timeout) -> None:
    arms = tuple(
        replace(an_arm(str(place), 100 * share / sum(shares)), bundle=HOME / "bundles" / str(place))
        for place, share in enumerate(shares)
    )
    before = spec(arms=arms, resources=Resources(cpu, memory), port=port, limits=Limits(timeout_s=timeout))
    stored = json.loads(json.dumps(encode(before, HOME)))
    assert decode(stored, HOME) == before


def test_a_moved_workspace_finds_its_bundles() -> None:
    arm = replace(an_arm(), bundle=HOME / "bundles" / "abc")
    moved = decode(encode(spec(arms=(arm,)), HOME), Path("/elsewhere/.nbmlops"))
    assert moved.arms[0].bundle == Path("/elsewhere/.nbmlops/bundles/abc")


def test_a_damaged_store_is_said() -> None:
    with pytest.raises(Corrupt, match="stored endpoint can't be read"):
        decode({"endpoint": "flights"}, HOME)
