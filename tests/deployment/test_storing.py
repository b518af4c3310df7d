"""An endpoint stored and read again: this format, the one before, and a newer one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import Corrupt
from nbmlops.deployment.arms import ensemble
from nbmlops.deployment.progressive import Progressive
from nbmlops.deployment.spec import Capture, EndpointSpec, Guardrails, Limits, Resources
from nbmlops.deployment.storing import Stored, decode, encode, from_file, to_file
from tests.deployment.conftest import an_arm
from tests.deployment.test_arms import a_member

HOME = Path("/project/.nbmlops")
OLD = {
    "endpoint": "flights",
    "model": "offset",
    "arms": [
        {"version": "1", "model": "offset", "bundle": "bundles/1", "digest": "sha256:1", "runtime": "onnx"},
    ],
    "resources": {"cpu": None, "memory_mib": None, "workers": 1},
    "limits": {"body_bytes": 1024, "queue": 7, "timeout_s": 3.0},
    "idle_hours": 8.0,
    "port": None,
    "auth": True,
}


def an_endpoint(**facts) -> EndpointSpec:
    return EndpointSpec(**{"endpoint": "flights", "model": "offset", "arms": (an_arm(),), **facts})


@given(
    shares=st.lists(st.floats(0.01, 1e6), min_size=2, max_size=5),
    shadow=st.floats(0, 100),
    cpu=st.none() | st.floats(0.1, 64),
    memory=st.none() | st.integers(1, 10**6),
    port=st.none() | st.integers(1, 65535),
    timeout=st.floats(0.1, 1e4),
    capture=st.none() | st.builds(Capture, st.sampled_from(["on", "strict"]), st.floats(0.01, 1)),
    guardrails=st.none() | st.builds(Guardrails, st.dictionaries(st.just("shift"), st.none() | st.floats(0, 1))),
    hold=st.floats(0, 1e6),
)
def test_stored_and_read_again_it_is_the_same(
    shares, shadow, cpu, memory, port, timeout, capture, guardrails, hold
) -> None:
    arms = [
        replace(an_arm(str(place), 100 * share / sum(shares)), bundle=HOME / "bundles" / str(place))
        for place, share in enumerate(shares)
    ]
    members = [replace(a_member(), bundle=HOME / "bundles" / "a"), a_member("b", "1")]
    combined = replace(ensemble(members, "offset", weight=0.0), shadow=shadow)
    before = an_endpoint(
        arms=(*arms, combined),
        resources=Resources(cpu, memory),
        port=port,
        limits=Limits(timeout_s=timeout),
        capture=capture,
        guardrails=guardrails,
        progressive=Progressive("1", (5.0, 50.0), hold),
        candidates={"1": {"0": 100.0}},
    )
    stored = Stored(before, revision=7, since=1.5)
    data = json.loads(json.dumps(to_file(stored, HOME)))
    assert from_file(data, HOME) == stored
    assert decode(data, HOME) == before


def test_a_moved_workspace_finds_its_bundles_those_of_members_too() -> None:
    arm = replace(an_arm(), bundle=HOME / "bundles" / "abc")
    member = replace(a_member(), bundle=HOME / "bundles" / "def")
    combined = ensemble([member, a_member("b", "1")], "offset", weight=0.0)
    moved = decode(encode(an_endpoint(arms=(arm, combined)), HOME), Path("/elsewhere/.nbmlops"))
    assert moved.arms[0].bundle == Path("/elsewhere/.nbmlops/bundles/abc")
    assert moved.arms[1].members[0].bundle == Path("/elsewhere/.nbmlops/bundles/def")
    assert moved.arms[1].members[1].bundle == Path("/bundles/b/1")


def test_what_an_older_nbmlops_stored_still_loads() -> None:
    stored = from_file(OLD, HOME)
    assert (stored.revision, stored.since) == (0, 0.0)
    assert stored.spec.arms[0].bundle == HOME / "bundles/1"
    assert (stored.spec.capture, stored.spec.guardrails, stored.spec.progressive) == (None, None, None)
    assert stored.spec.limits.queue == 7


def test_what_a_newer_nbmlops_stored_is_refused() -> None:
    with pytest.raises(Corrupt, match=r"has format 3.*reads up to 2.*upgrade"):
        from_file(OLD | {"format": 3}, HOME)


@pytest.mark.parametrize(
    "data",
    [
        {"endpoint": "flights"},
        [],
        OLD | {"revision": "many"},
        OLD | {"arms": []},
        OLD | {"progressive": {"candidate": "1", "steps": [50, 5], "hold_s": 1}},
        OLD | {"capture": {"mode": "sometimes"}},
    ],
)
def test_a_damaged_store_is_said(data) -> None:
    with pytest.raises(Corrupt, match="stored endpoint can't be read"):
        from_file(data, HOME)


def test_a_change_has_the_next_revision_and_a_new_split_a_new_time() -> None:
    both = an_endpoint(arms=(an_arm("1", 90.0), an_arm("2", 10.0)))
    stored = Stored(both, revision=3, since=100.0)
    assert stored.followed_by(replace(both, port=9), 200.0) == Stored(replace(both, port=9), 4, 100.0)
    moved = both.with_traffic({"2": 100.0})
    assert stored.followed_by(moved, 200.0) == Stored(moved, 4, 200.0)
