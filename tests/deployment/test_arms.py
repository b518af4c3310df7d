"""Ensembles as arms: what they are called, and what they may not be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.deployment.arms import MemberSpec, ensemble, for_journal
from tests.deployment.conftest import an_arm

SAFE = re.compile(r"[A-Za-z0-9+._-]{1,64}\Z")
NAMES = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._ -]{0,80}[A-Za-z0-9])?", fullmatch=True)
MEMBERS = st.lists(st.tuples(NAMES, st.integers(1, 99), st.sampled_from([0.5, 1.0, 3.0, 1e9])), min_size=2, max_size=4)


def a_member(model: str = "a", version: str = "3", weight: float = 3.0, runtime: str = "onnx") -> MemberSpec:
    return MemberSpec(version, model, Path("/bundles") / model / version, f"sha256:{model}{version}", runtime, weight)


def test_an_ensemble_is_one_arm_named_after_its_members() -> None:
    arm = ensemble([a_member(), a_member("b", "1", 1.0, "sklearn")], "flights")
    assert arm.version == "a-3x3+b-1x1"
    assert (arm.reference, arm.runtime, arm.bundle) == ("flights/a-3x3+b-1x1", "ensemble", Path("/bundles/a/3"))
    assert arm.why == "a/3 by onnx, b/1 by sklearn"
    assert ensemble(arm.members, "flights", combine="vote").version == "a-3x3+b-1x1-vote"
    assert list(arm.models) == ["a-3x3+b-1x1 (a/3)", "a-3x3+b-1x1 (b/1)"]


def test_a_single_model_is_loaded_under_its_version() -> None:
    arm = an_arm("7")
    assert arm.models == {"7": arm}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([a_member()], "has one member"),
        ([a_member(), a_member()], "names a version twice"),
    ],
)
def test_what_an_ensemble_may_not_be(members, message) -> None:
    with pytest.raises(InvalidInput, match=message):
        ensemble(members, "flights")


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_member_has_a_positive_weight(weight: float) -> None:
    with pytest.raises(InvalidInput, match="the weight of a/3"):
        a_member(weight=weight)


@given(st.lists(MEMBERS, min_size=2, max_size=2), st.sampled_from(["mean", "vote"]))
def test_names_fit_headers_and_folders_and_tell_ensembles_apart(pair, combine) -> None:
    named = {}
    for chosen in pair:
        members = [a_member(model, str(version), weight) for model, version, weight in chosen]
        if len({member.reference for member in members}) == len(members):
            name = ensemble(members, "flights", combine=combine).version
            assert SAFE.match(name)
            named.setdefault(name, set()).add(tuple(chosen))
    assert all(len(kinds) == 1 for kinds in named.values())


def test_a_name_that_leaves_something_out_says_what_it_stands_for() -> None:
    pairs = [("a b", "a_b"), ("n" * 80 + "1", "n" * 80 + "2")]
    for one, other in pairs:
        names = {ensemble([a_member(model), a_member("b", "1")], "x").version for model in (one, other)}
        assert len(names) == 2
        assert all(SAFE.match(name) for name in names)


def test_the_digest_sees_weights_order_and_the_way_to_combine() -> None:
    one, two = a_member(), a_member("b", "1", 1.0)
    arms = [
        ensemble([one, two], "x"),
        ensemble([two, one], "x"),
        ensemble([one, two], "x", combine="vote"),
        ensemble([a_member(weight=2.0), two], "x"),
    ]
    assert len({arm.digest for arm in arms}) == 4


def test_the_journal_keeps_members_and_no_paths() -> None:
    kept = for_journal(ensemble([a_member(), a_member("b", "1", 1.0)], "flights"))
    assert kept["members"][1] == {"model": "b", "version": "1", "bundle": "sha256:b1", "runtime": "onnx", "weight": 1.0}
    assert kept["combine"] == "mean"
    assert "/bundles" not in str(kept)
    assert "members" not in for_journal(an_arm())
