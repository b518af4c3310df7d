"""The conformance check: the fake passes it, and each broken promise is found."""

from __future__ import annotations

import pytest

from nbmlops.core.errors import NotFound
from nbmlops.deployment import EndpointSpec
from nbmlops.testing import targets
from nbmlops.testing.fakes import FakeTarget
from nbmlops.testing.targets import check_target
from tests.deployment.conftest import an_arm

ONE, TWO = an_arm("1"), an_arm("2")


def test_the_fake_keeps_the_contract() -> None:
    target = FakeTarget()
    check_target(target, ONE, TWO)
    assert target.statuses() == ()


class PlansByApplying(FakeTarget):
    def plan(self, spec: EndpointSpec):
        plan = super().plan(spec)
        self._specs.setdefault(spec.endpoint, spec)
        self._lines.setdefault(spec.endpoint, [])
        return plan


class AppliesAnything(FakeTarget):
    def apply(self, plan):
        return super().apply(self.plan(plan.spec))


class Forgets(FakeTarget):
    def delete(self, name: str) -> None:
        self._existing(name)


class OneTokenForAll(FakeTarget):
    def token(self, name: str) -> str:
        super().token(name)
        return "fake-token"


class Vague(FakeTarget):
    def _existing(self, name: str):
        if name not in self._specs:
            raise NotFound("no such endpoint")
        return self._specs[name]


class Silent(FakeTarget):
    def logs(self, name: str, lines: int = 50) -> str:
        return ""


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (PlansByApplying, targets.planning_changes_nothing),
        (AppliesAnything, targets.a_stale_plan_is_refused),
        (Forgets, targets.deleting_leaves_nothing),
        (OneTokenForAll, targets.no_token_without_authentication),
        (Vague, targets.unknown_names_are_not_found),
        (Silent, targets.unknown_names_are_not_found),
    ],
)
def test_a_broken_promise_is_named(broken, promise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "PROMISES", (promise,))
    with pytest.raises(AssertionError, match=promise.__doc__.split(",")[0]):
        check_target(broken(), ONE, TWO)


def test_a_target_without_the_methods_is_no_target() -> None:
    with pytest.raises(AssertionError, match="lacks methods"):
        check_target(object(), ONE, TWO)
