"""Plans: what they show, and when two are the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import Refused
from nbmlops.deployment import DeploymentPlan, EndpointSpec, Resources
from nbmlops.deployment.plan import make_plan, plan_digest, stale
from tests.deployment.conftest import an_arm

ONE, TWO = an_arm("1"), an_arm("2")
MANIFESTS = {
    ONE.digest: {
        "environment_id": "sha256:aaaa",
        "signature": {"inputs": [{"name": "x", "type": "double"}, {"name": "old", "type": "long"}], "outputs": None},
    },
    TWO.digest: {
        "environment_id": "sha256:bbbb",
        "signature": {
            "inputs": [{"name": "x", "type": "double", "nullable": True}, {"name": "new", "type": "string"}],
            "outputs": [{"name": "y", "type": "double"}],
        },
    },
}


def spec(*arms, **facts) -> EndpointSpec:
    return EndpointSpec("flights", "offset", arms or (ONE,), **facts)


def changes(plan: DeploymentPlan) -> dict[str, tuple[str, str]]:
    return {one.what: (one.before, one.after) for one in plan.changes}


def test_a_new_endpoint_shows_everything() -> None:
    shown = changes(make_plan("local", None, spec(), manifests=MANIFESTS))
    assert shown["endpoint"] == ("", "flights")
    assert shown["model version"] == ("", "offset/1")
    assert shown["environment"] == ("", "aaaa")
    assert shown["port"] == ("", "a free one")


def test_a_new_version_shows_what_differs_alone() -> None:
    wanted = spec(replace(ONE, weight=0.0), replace(TWO, runtime="sklearn"))
    shown = changes(make_plan("local", spec(), wanted, manifests=MANIFESTS))
    assert shown == {
        "model version": ("offset/1", "offset/2"),
        "traffic": ("1=100", "2=100"),
        "kept warm": ("", "1"),
        "runtime": ("onnx", "sklearn"),
        "bundle": ("1" * 12, "2" * 12),
        "environment": ("aaaa", "bbbb"),
        "input x": ("double", "double, may be null"),
        "input old": ("long", ""),
        "input new": ("", "string"),
        "outputs": ("anything", "1 columns"),
    }


def test_a_version_beside_another_is_compared_with_what_serves_now_package_by_package() -> None:
    locks = {
        ONE.digest: "numpy==2.4.1\nscikit-learn==1.9.1\n",
        TWO.digest: "numpy==2.5.0\nmine @ git+https://example.org/mine@0123abc\n# own==1.0 is an editable install\n",
    }
    manifests = {digest: MANIFESTS[digest] | {"lock": text} for digest, text in locks.items()}
    wanted = spec(replace(ONE, weight=95.0), replace(TWO, weight=5.0))
    shown = changes(make_plan("local", spec(), wanted, manifests=manifests))
    assert {what: pair for what, pair in shown.items() if what.startswith("package ")} == {
        "package numpy": ("2.4.1", "2.5.0"),
        "package scikit-learn": ("1.9.1", ""),
        "package mine": ("", "@0123abc"),
        "package own": ("", "1.0"),
    }
    assert shown["model version"] == ("offset/1", "offset/2")
    assert shown["environment"] == ("aaaa", "bbbb")


def test_what_moved_is_named_with_before_and_now() -> None:
    planned = make_plan("local", spec(), spec(TWO), manifests=MANIFESTS)
    elsewhere = spec(replace(ONE, weight=50.0), replace(TWO, weight=50.0), idle_hours=2.0)
    told = str(stale(planned, make_plan("local", elsewhere, spec(TWO), manifests={}, running=False)))
    assert "traffic was 1=100, is 1=50 2=50" in told
    assert "idle time was 8 h, is 2 h" in told
    assert "state was running, is down" in told
    gone = str(stale(planned, make_plan("local", None, spec(TWO), manifests={})))
    assert "model version was offset/1, is nothing" in gone


def test_the_digest_sees_whether_it_runs() -> None:
    assert plan_digest("local", spec(), spec()) != plan_digest("local", spec(), spec(), running=False)


def test_words_about_the_choice_of_a_runtime_are_not_in_the_digest() -> None:
    faster = spec(replace(ONE, why="2.3 times as fast"))
    assert plan_digest("local", None, spec()) == plan_digest("local", None, faster)


def test_a_plan_without_a_verb_behind_it_can_not_apply_itself() -> None:
    with pytest.raises(Refused, match="can't be applied by itself"):
        make_plan("local", None, spec(), manifests={}).apply()


def test_resources_and_a_dead_endpoint_are_changes() -> None:
    wanted = spec(resources=Resources(cpu=1.5, memory_mib=512, workers=2))
    shown = changes(make_plan("local", spec(), wanted, manifests=MANIFESTS, running=False))
    assert shown["state"] == ("down", "running")
    assert shown["cpu"] == ("all cores", "1.5 cores (soft)")
    assert shown["memory"] == ("no limit", "512 MiB a process (soft)")
    assert shown["workers"] == ("1", "2")


def test_nothing_to_do_is_an_empty_plan() -> None:
    plan = make_plan("local", spec(), spec(), manifests=MANIFESTS)
    assert plan.changes == ()
    assert "as wanted already" in plan._show_().text


def test_the_digest_sees_both_sides_and_no_paths() -> None:
    moved = spec(replace(ONE, bundle=Path("/elsewhere")))
    assert plan_digest("local", None, spec()) == plan_digest("local", None, moved)
    assert len({plan_digest("local", before, spec()) for before in (None, spec(), spec(TWO))}) == 3
    assert plan_digest("local", None, spec()) != plan_digest("docker", None, spec())


@given(st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([None, 100, 200]), st.integers(1, 3))
def test_an_equal_digest_means_an_equal_spec(cpu, memory, workers) -> None:
    base = spec(resources=Resources(1.0, 100, 1))
    other = spec(resources=Resources(cpu, memory, workers))
    assert (plan_digest("local", None, base) == plan_digest("local", None, other)) == (base == other)


def test_it_shows_itself_without_markup_from_outside() -> None:
    wanted = EndpointSpec("flights", "<b>offset</b>", (replace(ONE, model="<b>offset</b>"),))
    html = make_plan("local", None, wanted, manifests={})._repr_html_()
    assert "&lt;b&gt;offset" in html
    assert "<b>" not in html


def test_where_an_environment_lies_does_not_count_and_that_there_is_one_does() -> None:
    def digest(python: str) -> str:
        return plan_digest("local", None, spec(replace(ONE, python=python)))

    assert digest("/home/a/python") == digest("/home/b/python") != digest("")
    plan = make_plan("local", spec(replace(ONE, python="/home/a/python")), spec(ONE), manifests=MANIFESTS)
    assert changes(plan)["proof"] == ("in a fresh environment", "skipped")
