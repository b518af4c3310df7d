"""Rollouts with the real server: a bad version goes by itself, a good one grows, and a kill changes nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from nbmlops.core.errors import Refused
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import EndpointSpec, Guardrails, LocalTarget, Progressive, endpoint, launch
from nbmlops.deployment.folder import RunFolder
from nbmlops.deployment.operate import states
from nbmlops.journal import Journal
from nbmlops.testing.models import offset_onnx, pickled
from tests.deployment.conftest import started_from_here, wait_for

pytestmark = pytest.mark.integration

ROWS = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


def send(url: str, token: str, **headers: str) -> requests.Response:
    allowed = {"Authorization": f"Bearer {token}", **headers}
    return requests.post(f"{url}/invocations", json=ROWS, headers=allowed, timeout=30)


@contextmanager
def load(url: str, token: str) -> Iterator[list[int]]:
    """Send requests until the block ends; yields the answers' status codes as they come."""
    stop, seen = threading.Event(), []

    def work() -> None:
        with requests.Session() as client:
            client.headers["Authorization"] = f"Bearer {token}"
            while not stop.is_set():
                try:
                    seen.append(client.post(f"{url}/invocations", json=ROWS, timeout=30).status_code)
                except requests.ConnectionError:  # the supervisor is being killed
                    seen.append(0)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def told(journal: Journal, what: str) -> Callable[[], bool]:
    return lambda: bool(journal.events(f"endpoint.{what}"))


def test_a_bad_version_is_returned_by_itself_and_told_with_its_numbers(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    class Broken:
        def predict(self, rows):
            import os

            if os.urandom(1)[0] < 128:
                raise RuntimeError("no such feature")
            return rows["x"].to_numpy() + 10.0

    good, bad = offset_onnx(workspace, "1", 10.0), dataclasses.replace(pickled(workspace, "2", Broken()), weight=0.0)
    spec = EndpointSpec("flights", "offset", (good, bad), guardrails=Guardrails({"latency_factor": None}))
    status = target.apply(target.plan(spec))
    journal.append("endpoint.deployed", "endpoint/flights", {"model": "offset", "traffic": spec.traffic})
    one = endpoint(workspace, journal, "flights")
    one.set_traffic({"1": 50, "2": 50})
    with load(status.url, target.token("flights")):
        wait_for(told(journal, "rolled_back"), "the return to version 1")
        back = target.status("flights")
    assert back.traffic == {"1": 100.0}
    assert target.spec("flights").traffic == {"1": 100.0}
    tripped = journal.events("endpoint.guardrail_tripped")[0]
    assert (tripped.actor, tripped.data["rule"], tripped.data["version"]) == ("supervisor", "error_rate", "2")
    assert tripped.data["requests"] >= 50
    assert tripped.data["e_value"] >= tripped.data["threshold"]
    assert dict(states(journal)["flights"].traffic) == {"1": 100.0}
    assert "error rate" in one._show_().text
    assert {send(status.url, target.token("flights")).status_code for _ in range(20)} == {200}


def test_a_rollout_grows_over_a_kill_and_shadows_and_tokens_are_as_they_were(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    one, two, three = (offset_onnx(workspace, version, 10.0) for version in "123")
    arms = (one, dataclasses.replace(two, weight=0.0), dataclasses.replace(three, weight=0.0, shadow=100.0))
    base = EndpointSpec("flights", "offset", arms, guardrails=Guardrails())
    status = target.apply(target.plan(base))
    rolling = dataclasses.replace(
        base.with_traffic({"1": 75, "2": 25}), progressive=Progressive("2", (25.0, 50.0, 75.0, 100.0), 0.2, requests=20)
    )
    target.apply(target.plan(rolling))
    journal.append("endpoint.deployed", "endpoint/flights", {"model": "offset", "traffic": rolling.traffic})
    first = target.token("flights")
    endpoint(workspace, journal, "flights").rotate_token(grace="1h")
    second = target.token("flights")
    with load(status.url, first):
        wait_for(told(journal, "rollout_advanced"), "the first step")
        shadows = endpoint(workspace, journal, "flights").compare()
        wait_for(lambda: not endpoint(workspace, journal, "flights").compare()["3"].needed, "enough pairs")
    assert shadows["3"].agreement == 1.0
    os.kill(target.status("flights").pid, signal.SIGKILL)
    wait_for(lambda: not started_from_here(), "the end of its processes")
    assert target.status("flights").health == "down"
    at = target.spec("flights")
    assert target.restart("flights").traffic == at.traffic
    assert target.spec("flights").progressive == at.progressive
    with load(status.url, second):
        wait_for(lambda: target.spec("flights").progressive is None, "the last step")
        wait_for(told(journal, "rollout_finished"), "its event")
    assert target.status("flights").shadows == {"3": 100.0}
    assert [event.data["traffic"]["2"] for event in journal.events("endpoint.rollout_*")] == [50.0, 75.0, 100.0]
    assert {send(status.url, token).status_code for token in (first, second)} == {200}
    endpoint(workspace, journal, "flights").rotate_token(grace=0)
    wait_for(lambda: send(status.url, second).status_code == 401, "the end of a token without grace")
    assert send(status.url, target.token("flights")).status_code == 200


def test_two_kernels_at_once_leave_what_the_journal_says(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    one, two, three = (offset_onnx(workspace, version, 10.0) for version in "123")
    arms = (one, dataclasses.replace(two, weight=0.0), dataclasses.replace(three, weight=0.0))
    status = target.apply(target.plan(EndpointSpec("flights", "offset", arms)))
    deployed = {"model": "offset", "traffic": {"1": 100.0}, "revision": status.revision}
    journal.append("endpoint.deployed", "endpoint/flights", deployed)

    def operate(kernel: int) -> list[type]:
        """Be a kernel of its own: divide traffic, set shadows and roll back; returns what was refused."""
        found, mine, refused = endpoint(workspace, Journal.open(workspace), "flights"), kernel * 10, []
        for turn in range(4):
            try:
                if turn == 2:
                    found.rollback()
                else:
                    found.set_traffic({"1": 90 - mine - turn, "2": 10 + mine + turn}, shadows={"3": mine + turn})
            except Refused as error:
                refused.append(type(error))
        return refused

    with ThreadPoolExecutor(3) as pool:
        refused = [one for done in pool.map(operate, (1, 2, 3)) for one in done]
    state, live = states(journal)["flights"], target.status("flights")
    assert (dict(state.traffic), dict(state.shadows)) == (live.traffic, live.shadows)
    assert (target.spec("flights").traffic, state.revision) == (live.traffic, live.revision)
    moves = [event for event in journal.events("endpoint.*") if event.data.get("revision")]
    assert len({event.data["revision"] for event in moves}) == len(moves) == live.revision
    assert len(moves) == 1 + 12 - len(refused)
    folder = RunFolder(workspace.run / "flights")
    late = {"op": "configure", "spec": folder.read(folder.spec), "revision": live.revision - 1}
    with pytest.raises(launch.ChangedMeanwhile, match=f"at revision {live.revision}"):
        launch.ask(Path(folder.read(folder.state)["control"]), late, 10.0)
    version = requests.get(
        f"{status.url}/version", headers={"Authorization": f"Bearer {target.token('flights')}"}, timeout=10
    )
    assert {arm["name"]: arm["weight"] for arm in version.json()["arms"] if arm["weight"]} == live.traffic
