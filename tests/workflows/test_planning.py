"""Plans: shown, kept by their digest, carried out exactly or refused; no test but the last starts a server."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.deployment import DeploymentPlan, LocalTarget
from nbmlops.testing.shell import notebook
from nbmlops.workflows.applying import recall
from nbmlops.workflows.candidates import candidates
from nbmlops.workflows.commands import Files, run
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.models import promote
from nbmlops.workflows.operate import endpoints, traffic
from nbmlops.workflows.session import Session
from nbmlops.workflows.verbs import MAGICS


def planned(*words: str, **options: Any) -> DeploymentPlan:
    plan = deploy(*words, plan=True, **options)
    assert isinstance(plan, DeploymentPlan)
    return plan


def test_a_plan_made_twice_has_one_digest_and_leaves_no_word(two: Session) -> None:
    before = two.journal.events()

    first, second = planned("flights/2", workers=2), planned("flights/2", workers=2)

    assert first.digest == second.digest != planned("flights/2", workers=1).digest
    assert two.journal.events() == before
    assert (len(endpoints()), list(two.workspace.run.iterdir())) == (0, [])


def test_a_plan_tells_what_was_checked(two: Session) -> None:
    told = planned("flights/1").told
    assert told["replayed"].startswith("400 rows")
    assert told["runtime"].startswith("onnx; ")
    assert told["conversion"].startswith("certified at rung ")
    assert told["proof"] == "skipped"


@pytest.mark.parametrize("begins", [len("sha256:") + 64, len("sha256:") + 8])
def test_a_plan_is_found_by_the_beginning_of_its_digest(two: Session, begins: int) -> None:
    plan = planned("flights/2", redact=("hour",), progressive=None, traffic=100)
    kept = recall(two, plan.digest[:begins])
    assert kept is not None
    assert (kept.plan.spec, kept.plan.digest, kept.asked.redact) == (plan.spec, plan.digest, ("hour",))
    assert candidates("plan") == (plan.digest.removeprefix("sha256:"),)


@pytest.mark.parametrize("digest", ["", "abc", "sha256:xyzxyzxyz", "../../aaaaaaaa"])
def test_what_is_no_digest_is_said(two: Session, digest: str) -> None:
    with pytest.raises(InvalidInput, match="no digest of a plan"):
        deploy("flights/1", apply=digest)


def test_a_digest_of_nothing_that_was_shown_is_refused(two: Session) -> None:
    with pytest.raises(Refused, match="no plan sha256:0123456789 was shown"):
        deploy("flights/1", apply="sha256:0123456789")
    assert len(endpoints()) == 0


def test_a_plan_that_is_known_no_more_holds_by_its_options_alone(two: Session) -> None:
    digest = planned("flights/1", workers=2).digest
    shutil.rmtree(two.workspace.cache / "plans")

    with pytest.raises(Refused, match="what would be done now is another"):
        deploy("flights/1", workers=3, apply=digest)


def test_options_beside_a_digest_must_be_those_of_the_plan(two: Session) -> None:
    digest = planned("flights/1", workers=2).digest

    with pytest.raises(InvalidInput, match="workers is 3, and the plan was made with 2"):
        deploy("flights/1", workers=3, apply=digest)
    with pytest.raises(InvalidInput, match="ref is 'flights/2'"):
        deploy("flights/2", apply=digest)


def test_an_alias_that_moved_is_named_and_nothing_is_started(two: Session) -> None:
    promote("flights/1", "champion")
    plan = planned("flights@champion")
    promote("flights/2", "champion")

    with pytest.raises(Refused, match="model version was flights/1, is flights/2"):
        plan.apply()
    assert len(endpoints()) == 0
    assert not two.journal.events("endpoint.*")


def test_a_choice_of_guardrails_is_part_of_the_plan(two: Session) -> None:
    plan = run(MAGICS["deploy"], ["flights/1", "--guardrails", "errors, shift", "--plan"], Files(), called="%deploy")
    assert plan.spec.guardrails.rules == {"latency_factor": None}
    assert {one.what: one.after for one in plan.changes}["guardrails"] == "on, latency_factor off"


@pytest.mark.integration
def test_what_was_planned_is_what_is_done_and_what_moved_is_refused(two: Session) -> None:
    target = LocalTarget(two.workspace, two.journal)
    first = planned("flights/1", capture="off", memory=900)
    first.apply(reason="as shown")
    assert target.spec("flights") == first.spec
    done = two.journal.events("endpoint.deployed")[-1]
    assert (done.data["plan"], done.reason) == (first.digest, "as shown")

    second = planned("flights/2", traffic=10)
    changed = {one.what: (one.before, one.after) for one in second.changes}
    assert changed["runtime"] == ("onnx", "sklearn")
    assert changed["traffic"] == ("1=100", "1=90 2=10")
    assert "scikit-learn" in " ".join(changed)
    assert second.digest == planned("flights/2", traffic=10).digest

    deploy("flights/2", traffic=50, reason="somebody else")
    before = target.status("flights"), two.journal.events("endpoint.*")
    with pytest.raises(Refused, match=r"traffic was 1=100, is 1=50 2=50.*Nothing was changed"):
        deploy("flights/2", apply=second.digest)
    now = target.status("flights"), two.journal.events("endpoint.*")
    assert (now[0].revision, now[0].traffic, now[1]) == (before[0].revision, before[0].traffic, before[1])
    with pytest.raises(Refused, match="was changed after this was planned"):
        second.apply()

    third = planned("flights/2", traffic=20, guardrails=True, rules=("errors",))
    with notebook() as cells:
        cells.run("%load_ext nbmlops")
        cells.run(f"%deploy flights/2 --apply {third.digest}")
    assert target.spec("flights") == third.spec
    assert traffic("flights").traffic == {"1": 80.0, "2": 20.0}
