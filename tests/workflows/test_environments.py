"""One environment from the fit to the endpoint, and what is said where it is another."""

from __future__ import annotations

import importlib
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.deployment import DeploymentPlan
from nbmlops.serving.pins import Pin
from nbmlops.testing.shell import notebook
from nbmlops.workflows.commands import Files, run
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.govern import environment
from nbmlops.workflows.operate import endpoints
from nbmlops.workflows.planning import check_environment
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session
from nbmlops.workflows.verbs import MAGICS


def test_it_is_written_as_files_from_both_faces(two: Session, tmp_path: Path) -> None:
    folder = environment("flights/1", out=tmp_path / "out")
    assert folder == tmp_path / "out"
    assert two.registry.version("flights/1").environment_id in (tmp_path / "out" / "Dockerfile").read_text()
    with notebook() as cells:
        cells.run("%load_ext nbmlops")
        cells.run(f"%environment flights/1 --out {tmp_path / 'again'}")
    for name in ("requirements.lock", "environment.yml", "Dockerfile"):
        assert (tmp_path / "again" / name).read_text() == (tmp_path / "out" / name).read_text()


def test_the_difference_of_two_versions_is_one_thing_at_a_time(two: Session) -> None:
    assert len(environment("flights/1", diff="flights/2")) == 0
    verb = MAGICS["environment"]
    with pytest.raises(InvalidInput, match="--diff and --out are two things"):
        run(verb, ["flights/1", "--diff", "flights/2", "--out", "x"], Files(), called="nbmlops environment")


def test_a_package_that_changed_between_two_registrations_is_named(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny_units.py").write_text("MILES = 1.609\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    units = importlib.import_module("tiny_units")

    def kilometres(frame: pd.DataFrame) -> pd.Series:
        return frame["miles"] * units.MILES

    kilometres.__module__ = "__main__"  # as in a notebook
    for released in ("1.0", "2.0"):
        facts = tmp_path / f"tiny_units-{released}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-units\nVersion: {released}\n")
        (facts / "RECORD").write_text("tiny_units.py,,\n")
        register_model(kilometres, name="kilometres")
        shutil.rmtree(facts)

    changed = environment("kilometres/2", diff="kilometres/1")
    assert [tuple(one.to_dict().values()) for one in changed] == [("tiny-units", "1.0", "2.0")]
    assert "in kilometres/1" in str(changed)


def test_restoring_needs_a_version(two: Session, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no model version is named"):
        environment(restore=tmp_path / "a")


@pytest.mark.integration
def test_a_version_is_restored_where_the_line_says(
    two: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = two.registry.captured("flights/1")
    few = [one for one in everything["environment"]["packages"] if one["name"] in ("tabulate", "six")]
    small = {**everything, "environment": {**everything["environment"], "packages": few}}
    monkeypatch.setattr(type(two.registry), "captured", lambda self, ref: small)

    made = run(MAGICS["environment"], ["flights/1", "--restore", str(tmp_path / "a")], Files(), called="%environment")

    assert (made.reference, made.packages) == ("flights/1", len(few))
    assert made.python.exists()
    with pytest.raises(InvalidInput, match="is not empty"):
        environment("flights/1", restore=tmp_path / "a")


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
