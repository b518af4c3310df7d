"""What endpoints are served in: told by their own processes, and compared before anything gets traffic."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
import requests

from nbmlops.core.errors import Refused
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import ArmSpec, EndpointStatus, LocalTarget, endpoint
from nbmlops.deployment.child import ChildFailed
from nbmlops.deployment.environments import check_installed, environment_cell, environment_line, served_in, strains
from nbmlops.deployment.processes import manifest
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.journal import Journal
from nbmlops.testing.models import Captured, offset_onnx, offset_pickled
from tests.deployment.conftest import an_arm, deploy, wait_for

NUMPY = version("numpy")
OTHER = rf"numpy {NUMPY} instead of 1\.2\.3"


def locked(numpy: str = NUMPY, **facts: Any) -> Captured:
    """Return the capture of a model that was made with this version of NumPy."""
    packages = [{"name": "numpy", "version": numpy, "scope": "model"}]
    return {"environment": {"id": "sha256:" + "e" * 64, "packages": packages, **facts}}


def told(status: EndpointStatus, headers: dict[str, str]) -> dict[str, dict[str, Any]]:
    answer = requests.get(f"{status.url}/version", headers=headers, timeout=10)
    return {arm["version"]: arm for arm in answer.json()["arms"]}


@pytest.mark.integration
def test_processes_tell_the_environment_that_they_are_in(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    in_scorer = offset_onnx(workspace, "1", 1.0, captured=locked())
    in_worker = offset_pickled(workspace, "2", 2.0, captured=locked())
    status = deploy(target, replace(in_scorer, weight=50.0), replace(in_worker, weight=50.0))

    arms = told(status, {"Authorization": f"Bearer {target.token('flights')}"})
    for arm in (in_scorer, in_worker):
        ids = {name: manifest(arm.bundle)[name] for name in ("environment_id", "serving_environment_id")}
        expected = {**ids, "locked": ids["serving_environment_id"], "differs": []}
        assert expected.items() <= arms[arm.version].items()
        assert status.environments[arm.version] == expected
    journal.append("endpoint.deployed", "endpoint/flights", {"endpoint": "flights"})
    held = endpoint(workspace, journal, "flights")
    assert held._show_().text.count("run eeeeeeeeeeee; as locked") == 2
    assert held.environment.startswith("v1 ")


@pytest.mark.integration
def test_another_environment_is_refused_before_any_traffic_moves(target: LocalTarget, workspace: Workspace) -> None:
    with pytest.raises(Refused, match=rf"offset/1 would be served in another environment than its own: {OTHER}"):
        deploy(target, offset_onnx(workspace, "1", 1.0, captured=locked("1.2.3")))
    assert target.names() == ()

    good = offset_onnx(workspace, "1", 1.0, captured=locked())
    before = deploy(target, good)
    for bad in (offset_onnx, offset_pickled):
        coming = replace(bad(workspace, "2", 2.0, captured=locked("1.2.3")), weight=50.0)
        with pytest.raises(Refused, match=rf"offset/2 .*{OTHER}.*--any-environment"):
            deploy(target, replace(good, weight=50.0), coming)
        now = target.status("flights")
        assert (now.traffic, now.revision, now.pids) == ({"1": 100.0}, before.revision, before.pids)


@pytest.mark.integration
def test_another_environment_may_be_accepted_and_otherwise_is_seen(target: LocalTarget, workspace: Workspace) -> None:
    arm = replace(offset_pickled(workspace, "1", 1.0, captured=locked("1.2.3")), any_environment=True)
    status = deploy(target, arm)
    assert status.health == "healthy"
    assert status.environments["1"]["differs"] == [f"offset/1: numpy {NUMPY} instead of 1.2.3"]

    # As if the packages had been changed below an endpoint that was deployed in its own environment.
    stored = workspace.run / "flights" / "spec.json"
    facts = json.loads(stored.read_text())
    facts["arms"][0]["any_environment"] = False
    stored.write_text(json.dumps(facts))
    target.restart("flights")

    wait_for(lambda: target.status("flights").health == "degraded", "its health")
    assert f"version 1 is served in another environment than its own: offset/1: numpy {NUMPY}" in (
        target.status("flights").because
    )


def test_every_package_that_differs_is_named() -> None:
    differs = [
        {"name": "python", "pinned": "3.12", "installed": "3.11"},
        {"name": "mine", "pinned": "1.0", "installed": ""},
    ]
    with pytest.raises(ChildFailed, match=r"python 3\.11 instead of 3\.12; mine is missing instead of 1\.0"):
        check_installed(an_arm(), {"differs": differs})
    check_installed(an_arm(), {"differs": []})
    check_installed(an_arm(), None)


def said(*differs: str, serving: str = "sha256:" + "a" * 64) -> dict[str, Any]:
    return {
        "environment_id": "sha256:" + "e" * 64,
        "serving_environment_id": serving,
        "locked": "",
        "differs": [*differs],
    }


def test_one_scorer_in_another_environment_is_enough() -> None:
    figures = {
        0: {"arms": {"1": {"environment": said()}, "2": {}}},
        1: {"arms": {"1": {"environment": said("numpy 3 instead of 2")}}},
        2: {"arms": {"1": {"environment": said()}}},
    }
    environments = served_in(figures)
    assert environments == {"1": said("numpy 3 instead of 2")}
    spec = EndpointSpec("flights", "offset", (an_arm(),))
    assert list(strains(spec, environments)) == ["environment of version 1"]
    accepted: ArmSpec = replace(an_arm(), any_environment=True)
    assert strains(replace(spec, arms=(accepted,)), environments) == {}
    assert environment_cell(environments, ["1", "2"]) == "v1 aaaaaaaaaaaa (differs)"


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert environment_line("1", None) == environment_line("1", said(serving="")) == ""
    assert environment_cell({"1": said(serving="")}, ["1"]) == ""
