"""One environment from the fit to the endpoint, and what is said where it is another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nbmlops.core.errors import Refused
from nbmlops.deployment import DeploymentPlan
from nbmlops.serving.pins import Pin
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.govern import environment
from nbmlops.workflows.operate import endpoints
from nbmlops.workflows.planning import check_environment
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.session import Session


@pytest.mark.integration
def test_one_id_stands_for_the_fit_and_for_what_is_deployed(two: Session) -> None:
    """Two models that were made in the same environment show the same id, as does whatever serves them."""
    versions = [two.registry.version(f"flights/{number}") for number in (1, 2)]
    run = {version.environment_id for version in versions}
    assert run == {environment("flights/1").id} == {environment("flights/2").id}

    deploy("flights/1")
    served = deploy("flights/2", traffic=50)

    told = served.live().environments
    assert {said["environment_id"] for said in told.values()} == run
    assert [said["differs"] for said in told.values()] == [[], []]
    assert all(said["serving_environment_id"] == said["locked"] != "" for said in told.values())
    assert two.journal.events("endpoint.deployed")[-1].data["environments"] == told
    listed = str(endpoints())
    assert all(said["serving_environment_id"].removeprefix("sha256:")[:12] in listed for said in told.values())


def test_a_plan_tells_what_is_installed_otherwise(two: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = deploy("flights/1", plan=True)
    assert isinstance(plan, DeploymentPlan)
    assert plan.told["installed here"] == "as locked"

    monkeypatch.setattr("nbmlops.serving.pins.find_installed", lambda name: Pin("0.0"))
    again = deploy("flights/1", plan=True)
    assert isinstance(again, DeploymentPlan)
    assert "flights/1: numpy 0.0 instead of " in again.told["installed here"]


def test_what_was_accepted_is_part_of_the_plan(two: Session) -> None:
    plans = [deploy("flights/1", plan=True, any_environment=accepted) for accepted in (False, True)]
    assert isinstance(plans[0], DeploymentPlan)
    assert isinstance(plans[1], DeploymentPlan)
    assert plans[1].spec.arms[0].any_environment
    assert plans[0].digest != plans[1].digest
    assert "any" in {one.what: one.after for one in plans[1].changes}["packages"]


def test_a_bundle_of_another_environment_than_the_run_is_refused(two: Session) -> None:
    version = two.registry.version("flights/1")
    bundle = prepare(two, version).bundle
    check_environment(version, bundle)
    with pytest.raises(Refused, match="was made in environment aaaaaaaaaaaa, and its bundle names"):
        check_environment(replace(version, environment_id="sha256:" + "a" * 64), bundle)
    check_environment(replace(version, environment_id=""), bundle)
