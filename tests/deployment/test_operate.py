"""Traffic, rollback and removal with a target in memory: what the journal and the next verb see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nbmlops.core.errors import InvalidInput, NotFound, Refused
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import (
    ArmSpec,
    EndpointSpec,
    EndpointStatus,
    MemberSpec,
    Progressive,
    down,
    endpoint,
    endpoints,
    ensemble,
    for_journal,
    rollback,
    set_traffic,
    target_of,
    traffic_of,
    undeploy,
)
from nbmlops.deployment import target as seam
from nbmlops.deployment.operate import states
from nbmlops.journal import Journal
from nbmlops.testing.fakes import FakeTarget
from nbmlops.testing.models import offset_onnx
from tests.deployment.conftest import an_arm

ONE, TWO, THREE = an_arm("1"), an_arm("2"), an_arm("3")


class Point:
    """An entry point of another package's target."""

    def __init__(self, made: FakeTarget) -> None:
        self._made = made

    def load(self):
        return lambda workspace, journal: self._made


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    made = FakeTarget()
    monkeypatch.setattr(seam, "_installed", lambda: (Point(made),))
    return made


def deploy(fake: FakeTarget, journal: Journal, *arms: ArmSpec, name: str = "flights") -> None:
    """Do what the deploy verb does."""
    spec = EndpointSpec(name, "offset", arms)
    fake.apply(fake.plan(spec))
    kept = [{"version": arm.version, "bundle": arm.digest, "runtime": arm.runtime, "why": "it agrees"} for arm in arms]
    data = {"endpoint": name, "model": "offset", "target": "fake", "url": "", "traffic": spec.traffic, "arms": kept}
    journal.append("endpoint.deployed", f"endpoint/{name}", data)


def warm(arm: ArmSpec, weight: float = 0.0) -> ArmSpec:
    return replace(arm, weight=weight)


def test_traffic_moves_and_is_journalled_with_its_reason(
    fake: FakeTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(fake, journal, warm(ONE), TWO)
    status = set_traffic(workspace, journal, "flights", traffic={1: 90, "2": 10}, reason="canary")
    assert status.traffic == {"1": 90.0, "2": 10.0}
    event = journal.events("endpoint.traffic_moved")[0]
    assert event.data["traffic"] == {"1": 90.0, "2": 10.0}
    assert event.data["previous"] == {"2": 100.0}
    assert event.reason == "canary"


@pytest.mark.parametrize("traffic", [{"1": 50, "2": 60}, {"3": 100}, {"1": -1, "2": 101}])
def test_a_wrong_split_changes_and_records_nothing(
    fake: FakeTarget, workspace: Workspace, journal: Journal, traffic: dict[str, float]
) -> None:
    deploy(fake, journal, warm(ONE), TWO)
    with pytest.raises(InvalidInput):
        set_traffic(workspace, journal, "flights", traffic=traffic)
    assert fake.status("flights").traffic == {"2": 100.0}
    assert len(journal.events()) == 1


def test_rollback_goes_back_step_by_step_and_keeps_the_last_warm(
    fake: FakeTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(fake, journal, ONE)
    deploy(fake, journal, warm(ONE), TWO)
    set_traffic(workspace, journal, "flights", traffic={"1": 50, "2": 50})
    rollback(workspace, journal, "flights", reason="errors")
    assert fake.spec("flights").traffic == {"2": 100.0}
    assert fake.spec("flights").arm("1") == warm(ONE)
    rollback(workspace, journal, "flights")
    assert fake.spec("flights").traffic == {"1": 100.0}
    with pytest.raises(Refused, match="no earlier traffic to go back to than 1=100"):
        rollback(workspace, journal, "flights")
    events = journal.events("endpoint.rolled_back")
    assert [event.data["previous"] for event in events] == [{"1": 50.0, "2": 50.0}, {"2": 100.0}]
    assert events[0].reason == "errors"


def test_rollback_loads_an_arm_that_was_let_go_from_its_bundle(
    fake: FakeTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(fake, journal, ONE)
    deploy(fake, journal, TWO)
    with pytest.raises(Refused, match=r"its bundle is no longer.*%deploy offset/1 --endpoint flights"):
        rollback(workspace, journal, "flights")
    bundle = workspace.bundles / ONE.digest.removeprefix("sha256:")
    bundle.mkdir()
    rollback(workspace, journal, "flights")
    arm = fake.spec("flights").arm("1")
    assert (arm.bundle, arm.digest, arm.runtime, arm.why) == (bundle, ONE.digest, "onnx", "it agrees")


def test_rollback_runs_an_arm_in_its_own_environment_not_in_that_of_another(
    fake: FakeTarget, workspace: Workspace, journal: Journal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = offset_onnx(workspace, "1", 1.0)
    deploy(fake, journal, old)
    deploy(fake, journal, replace(TWO, python="/environments/2/bin/python", any_environment=True))
    (tmp_path / "python").touch()
    for place in ("gone", "python"):
        monkeypatch.setattr("nbmlops.deployment.operate.interpreter", lambda bundle, place=place: tmp_path / place)
        rollback(workspace, journal, "flights")
        arm = fake.spec("flights").arm("1")
        assert (arm.bundle, arm.any_environment) == (old.bundle, False)
        assert arm.python == ("" if place == "gone" else str(tmp_path / "python"))
        deploy(fake, journal, replace(TWO, python="/environments/2/bin/python"))


def test_a_change_that_fails_is_recorded_as_failed(
    fake: FakeTarget, workspace: Workspace, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(fake, journal, warm(ONE), TWO)

    def refuse(plan):
        raise Refused("the world moved")

    monkeypatch.setattr(fake, "apply", refuse)
    with pytest.raises(Refused, match="the world moved"):
        set_traffic(workspace, journal, "flights", traffic={"1": 100})
    assert [event.kind for event in journal.events()][1:] == ["operation.started", "operation.failed"]
    assert not journal.events("endpoint.traffic_moved")


def test_names_that_are_not_there(fake: FakeTarget, workspace: Workspace, journal: Journal) -> None:
    deploy(fake, journal, ONE)
    for verb in (endpoint, rollback, undeploy):
        with pytest.raises(NotFound, match="Did you mean flights"):
            verb(workspace, journal, "flight")
    with pytest.raises(NotFound, match="Did you mean flights"):
        set_traffic(workspace, journal, "flight", traffic={"1": 100})
    with pytest.raises(NotFound, match="no target is named 'fakes'"):
        target_of(workspace, journal, "fakes")


def test_down_takes_everything_and_a_second_time_nothing(
    fake: FakeTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(fake, journal, ONE)
    deploy(fake, journal, ONE, name="other")
    stopped = down(workspace, journal)
    assert stopped.endpoints == ("flights", "other")
    assert str(stopped) == "Stopped and removed: flights, other."
    assert fake.statuses() == ()
    assert str(down(workspace, journal)) == "Nothing was running."
    assert [event.subject for event in journal.events("endpoint.deleted")] == ["endpoint/flights", "endpoint/other"]
    assert endpoints(workspace, journal) == []


def test_one_that_was_removed_behind_our_back_is_down_and_can_be_cleared(
    fake: FakeTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(fake, journal, ONE)
    fake.delete("flights")
    (one,) = endpoints(workspace, journal)
    assert one.status == "down"
    assert one.to_dict()["because"] == "the target 'fake' does not know it any more"
    with pytest.raises(Refused, match="behind nbmlops' back"):
        set_traffic(workspace, journal, "flights", traffic={"1": 100})
    assert undeploy(workspace, journal, "flights").endpoints == ("flights",)
    assert endpoints(workspace, journal) == []


def test_a_silent_death_is_journalled_once(
    fake: FakeTarget, workspace: Workspace, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(fake, journal, ONE)
    dead = EndpointStatus("flights", "http://fake.invalid", "down", because="its supervisor ended", arms=(ONE,))
    monkeypatch.setattr(fake, "status", lambda name: dead)
    for _ in range(2):
        assert [one.status for one in endpoints(workspace, journal)] == ["down"]
    (event,) = journal.events("endpoint.unhealthy")
    assert event.data == {"endpoint": "flights", "because": "its supervisor ended", "actor": "tester"}


def test_the_handle_shows_what_is_there_now(fake: FakeTarget, workspace: Workspace, journal: Journal) -> None:
    deploy(fake, journal, warm(ONE), TWO)
    one = endpoint(workspace, journal, "flights")
    assert one == endpoint(workspace, journal, "flights")
    assert (one.model, one.target, one.status, one.versions) == ("offset", "fake", "healthy", ("1", "2"))
    assert one.set_traffic({"1": 75, "2": 25}).traffic == one.traffic == {"1": 75.0, "2": 25.0}
    assert one.rollback().traffic == {"2": 100.0}
    assert one.headers == {"Authorization": "Bearer fake-token"}
    shown = f"{one!r} {one.to_dict()} {one._repr_html_()}"
    assert "fake-token" not in shown
    assert "2: 100 %" in one._repr_html_()
    one.delete(reason="over")
    assert journal.events("endpoint.deleted")[0].reason == "over"


def test_shadows_are_set_beside_the_split_and_journalled(
    fake: FakeTarget, workspace: Workspace, journal: Journal
) -> None:
    deploy(fake, journal, ONE, warm(TWO), warm(THREE))
    change = set_traffic(workspace, journal, "flights", shadows={2: 50, "3": 10})
    assert (change.before, change.traffic, change.shadows) == ({"1": 100.0}, {"1": 100.0}, {"2": 50.0, "3": 10.0})
    event = journal.events("endpoint.traffic_moved")[0]
    assert event.data["shadows"] == {"2": 50.0, "3": 10.0}
    assert dict(states(journal)["flights"].shadows) == {"2": 50.0, "3": 10.0}
    moved = set_traffic(workspace, journal, "flights", traffic={"1": 90, "2": 10}, shadows={"3": 0})
    assert (moved.traffic, moved.shadows, moved.shadows_before) == (
        {"1": 90.0, "2": 10.0},
        {},
        {"2": 50.0, "3": 10.0},
    )
    assert dict(states(journal)["flights"].shadows) == {}
    assert traffic_of(workspace, journal, "flights").traffic == {"1": 90.0, "2": 10.0}
    assert len(journal.events("endpoint.traffic_moved")) == 2


def test_rollback_leaves_shadows_and_ends_a_rollout(fake: FakeTarget, workspace: Workspace, journal: Journal) -> None:
    deploy(fake, journal, ONE)
    rolling = replace(
        EndpointSpec("flights", "offset", (ONE, warm(TWO), replace(warm(THREE), shadow=20.0))).with_traffic(
            {"1": 95, "2": 5}
        ),
        progressive=Progressive("2", (5.0, 25.0, 100.0), 60.0),
    )
    fake.apply(fake.plan(rolling))
    told = {"model": "offset", "target": "fake", "traffic": rolling.traffic, "shadows": rolling.shadows}
    journal.append("endpoint.deployed", "endpoint/flights", told)
    stepped = rolling.stepped()
    fake.apply(fake.plan(stepped))
    step = {"endpoint": "flights", "traffic": stepped.traffic, "previous": rolling.traffic, "shadows": stepped.shadows}
    journal.append("endpoint.rollout_advanced", "endpoint/flights", step)
    rollback(workspace, journal, "flights")
    spec = fake.spec("flights")
    assert (spec.traffic, spec.shadows, spec.progressive) == ({"1": 100.0}, {"3": 20.0}, None)
    assert spec.candidates == {}


def test_dividing_by_hand_ends_a_rollout_and_says_so(fake: FakeTarget, workspace: Workspace, journal: Journal) -> None:
    rolling = replace(
        EndpointSpec("flights", "offset", (ONE, warm(TWO))).with_traffic({"1": 95, "2": 5}),
        progressive=Progressive("2", (5.0, 100.0), 60.0),
    )
    deploy(fake, journal, ONE)
    fake.apply(fake.plan(rolling))
    change = set_traffic(workspace, journal, "flights", traffic={"1": 50, "2": 50})
    assert "version 2 over 5, 100 %" in change.ended
    assert fake.spec("flights").progressive is None


def test_rollback_loads_an_ensemble_with_its_members(fake: FakeTarget, workspace: Workspace, journal: Journal) -> None:
    members = []
    for name in "ab":
        (workspace.bundles / f"{name}1").mkdir()
        members.append(MemberSpec("1", name, workspace.bundles / f"{name}1", f"sha256:{name}1", "onnx", 2.0))
    combined = ensemble(members, "offset", combine="vote")
    told = {"model": "offset", "target": "fake", "traffic": {combined.version: 100.0}}
    journal.append("endpoint.deployed", "endpoint/flights", told | {"arms": [for_journal(combined)]})
    deploy(fake, journal, ONE)
    rollback(workspace, journal, "flights")
    assert fake.spec("flights").arms[0] == combined
    assert states(journal)["flights"].arms[0]["members"][0]["model"] == "a"


def test_only_an_endpoint_with_a_token_has_it_rotated_and_the_journal_holds_none(
    fake: FakeTarget, workspace: Workspace, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(fake, journal, ONE)
    one = endpoint(workspace, journal, "flights")
    with pytest.raises(Refused, match="'fake' can't rotate"):
        one.rotate_token()
    rotated = []
    monkeypatch.setattr(fake, "rotate_token", lambda name, grace_s: rotated.append((name, grace_s)), raising=False)
    one.rotate_token(grace="10m", reason="somebody left")
    assert rotated == [("flights", 600.0)]
    event = journal.events("endpoint.token_rotated")[0]
    assert (event.data["grace_s"], event.reason) == (600.0, "somebody left")
    with pytest.raises(InvalidInput, match="is no time"):
        one.rotate_token(grace=-1)
    fake.apply(fake.plan(replace(fake.spec("flights"), auth=False)))
    with pytest.raises(Refused, match="needs no token"):
        one.rotate_token()
    assert len(rotated) == 1
