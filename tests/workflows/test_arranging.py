"""What a deployment asks for, and the endpoint that it becomes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.deployment import Capture, EndpointSpec, Guardrails, Progressive
from nbmlops.deployment.guarding import rules_of
from nbmlops.workflows.arranging import Wish, arranged, captured, check_redacted
from tests.deployment.conftest import an_arm

ONE, TWO, THREE = an_arm("1"), an_arm("2"), an_arm("3")
NOW = EndpointSpec("flights", "offset", (ONE,))


def test_the_first_version_gets_everything_and_guardrails_are_on() -> None:
    spec = arranged(None, ONE, Wish(), name="flights")
    assert (spec.endpoint, spec.traffic, spec.guardrails) == ("flights", {"1": 100.0}, Guardrails())
    assert arranged(None, ONE, Wish(guardrails=False), name="flights").guardrails is None


def test_guardrails_may_be_chosen_one_by_one() -> None:
    def rules(*kept: str) -> dict[str, float | None]:
        spec = arranged(NOW, TWO, Wish(traffic=10, rules=kept), name="flights")
        assert spec.guardrails is not None
        assert rules_of(spec).error_margin == (0.001 if "errors" in kept else None)
        return dict(spec.guardrails.rules)

    assert rules("errors", "shift") == {"latency_factor": None}
    assert rules("latency") == {"error_margin": None, "shift": None}
    assert rules("errors", "latency", "shift") == {}


@pytest.mark.parametrize("wish", [Wish(traffic=10), Wish(shadow=10), Wish(progressive=(5, 100))])
def test_a_first_version_with_a_share_is_refused(wish: Wish) -> None:
    with pytest.raises(InvalidInput, match="would leave the rest unanswered"):
        arranged(None, ONE, wish, name="flights")


def test_a_share_puts_the_new_version_on_trial_and_everything_keeps_the_last_warm() -> None:
    shared = arranged(NOW, TWO, Wish(traffic=10), name="flights")
    assert (shared.traffic, shared.candidates) == ({"1": 90.0, "2": 10.0}, {"2": {"1": 100.0}})
    over = arranged(shared, THREE, Wish(), name="flights")
    assert (over.traffic, [arm.version for arm in over.arms]) == ({"3": 100.0}, ["1", "2", "3"])
    assert [arm.version for arm in arranged(over, ONE, Wish(), name="flights").arms] == ["3", "1"]


def test_a_shadow_changes_neither_the_split_nor_a_rollout() -> None:
    rolling = arranged(NOW, TWO, Wish(progressive=(5, 25), hold="30s"), name="flights")
    assert rolling.progressive == Progressive("2", (5.0, 25.0), 30.0)
    shadowed = arranged(rolling, THREE, Wish(shadow=50), name="flights")
    assert (shadowed.traffic, shadowed.shadows) == (rolling.traffic, {"3": 50.0})
    assert (shadowed.progressive, shadowed.candidates) == (rolling.progressive, rolling.candidates)
    later = arranged(shadowed, an_arm("4"), Wish(traffic=20), name="flights")
    assert later.shadows == {"3": 50.0}
    assert later.progressive is None
    with pytest.raises(InvalidInput, match="has 95 % of the traffic"):
        arranged(rolling, ONE, Wish(shadow=50), name="flights")


def test_a_rollout_of_one_step_is_a_share() -> None:
    spec = arranged(NOW, TWO, Wish(progressive=(20,)), name="flights")
    assert (spec.traffic, spec.progressive) == ({"1": 80.0, "2": 20.0}, None)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (Wish(traffic=10, shadow=10), "--traffic and --shadow contradict"),
        (Wish(shadow=10, progressive=(5, 10)), "--shadow and --progressive contradict"),
        (Wish(progressive=(50, 5)), "rising percentages"),
        (Wish(progressive=()), "the steps are none"),
        (Wish(progressive=(5, 50), hold="soon"), "is no time"),
        (Wish(rules=("speed",)), "no guardrail 'speed'.*errors, latency, shift"),
        (Wish(rules=()), "no guardrail is named"),
        (Wish(rules=("errors",), guardrails=False), "--guardrails and --no-guardrails contradict"),
        (Wish(traffic=101), "the share of version 2 is 101"),
        (Wish(traffic=float("nan")), "the share of version 2 is nan"),
    ],
)
def test_a_wish_that_can_not_be(wish: Wish, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        arranged(NOW, TWO, wish, name="flights")


def test_an_endpoint_serves_one_model() -> None:
    with pytest.raises(Refused, match="serves 'offset', not 'other'"):
        arranged(NOW, replace(TWO, model="other"), Wish(), name="flights")


def test_capture_is_on_at_first_and_then_as_it_is() -> None:
    kept = Capture("strict", 0.5, ("age",))
    assert captured(None, is_new=True, asked=(None, None, None)) == Capture()
    assert captured(None, is_new=False, asked=(None, None, None)) is None
    assert captured(kept, is_new=False, asked=(None, None, None)) == kept
    assert captured(kept, is_new=False, asked=("off", None, None)) is None
    assert captured(kept, is_new=False, asked=("on", None, ["name"])) == Capture("on", 0.5, ("name",))
    assert captured(None, is_new=False, asked=(None, 0.1, None)) == Capture(sample=0.1)
    with pytest.raises(InvalidInput, match="capture is 'sometimes'"):
        captured(None, is_new=True, asked=("sometimes", None, None))


def test_only_columns_that_the_model_takes_are_redacted(tmp_path) -> None:
    (tmp_path / "bundle.json").write_text(
        json.dumps({"signature": {"inputs": [{"name": "carrier"}, {"name": "hour"}]}})
    )
    check_redacted(["hour"], tmp_path)
    with pytest.raises(InvalidInput, match=r"no column 'hours' to redact.*Did you mean hour"):
        check_redacted(["hours"], tmp_path)
