"""Endpoints on this machine, with the real server: what a person sees of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, EndpointError, NotFound, Refused
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import EndpointSpec, LocalTarget, Resources, operate
from nbmlops.journal import Journal
from nbmlops.packaging import verify
from nbmlops.testing.models import offset_onnx, offset_pickled, pickled
from nbmlops.testing.targets import check_target
from tests.deployment.conftest import deploy, started_from_here, wait_for

pytestmark = pytest.mark.integration


def ask(target: LocalTarget, x: float = 1.0, **headers: str) -> float:
    url = target.status("flights").url
    return post(requests, url, target.token("flights"), x, **headers)


def post(client, url: str, token: str, x: float, **headers: str) -> float:
    response = client.post(
        f"{url}/invocations",
        json={"dataframe_split": {"columns": ["x"], "data": [[x]]}},
        headers={"Authorization": f"Bearer {token}", **headers},
        timeout=30,
    )
    response.raise_for_status()
    return response.json()["predictions"][0]


def test_the_target_keeps_the_contract(target: LocalTarget, workspace: Workspace) -> None:
    check_target(target, offset_onnx(workspace, "1", 10.0), offset_onnx(workspace, "2", 20.0))


def test_a_pickled_model_answers_from_a_worker(target: LocalTarget, workspace: Workspace) -> None:
    status = deploy(target, offset_pickled(workspace, "1", 10.0))
    assert ask(target) == 11.0
    assert len(status.pids) == 2


def test_swaps_and_rollbacks_under_load_drop_no_request(target: LocalTarget, workspace: Workspace) -> None:
    one, two = offset_pickled(workspace, "1", 10.0), offset_onnx(workspace, "2", 20.0)
    url, token = deploy(target, one).url, target.token("flights")
    stop, failures, answers = threading.Event(), [], []

    def load() -> None:
        with requests.Session() as client:
            while not stop.is_set():
                try:
                    answers.append(post(client, url, token, 1.0))
                except requests.RequestException as error:
                    failures.append(error)

    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(load) for _ in range(6)]
        try:
            for arms in ((two, dataclasses.replace(one, weight=0.0)), (one, two), (two,), (one,)):
                weights = [100.0] + [0.0] * (len(arms) - 1)
                wanted = 20.0 if arms[0] is two else 10.0
                seen = len(answers)
                deploy(target, *(dataclasses.replace(arm, weight=w) for arm, w in zip(arms, weights, strict=True)))
                wait_for(
                    lambda seen=seen, wanted=wanted: answers[seen:].count(wanted + 1) > 50, "answers of the new arm"
                )
        finally:
            stop.set()
        for client in clients:
            client.result()
    assert failures == []
    assert set(answers) == {11.0, 21.0}


def test_a_request_in_flight_is_answered_by_the_version_it_began_with(
    target: LocalTarget, workspace: Workspace, tmp_path: Path
) -> None:
    began, release = str(tmp_path / "began"), str(tmp_path / "release")

    class Slow:
        def predict(self, rows):
            import pathlib
            import time

            pathlib.Path(began).touch()
            while not pathlib.Path(release).exists():
                time.sleep(0.02)
            return rows["x"].to_numpy() + 10.0

    workers = deploy(target, pickled(workspace, "1", Slow())).pids
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, target)
        wait_for(Path(began).exists, "the request")
        deploy(target, offset_onnx(workspace, "2", 20.0))
        assert ask(target) == 21.0
        assert not answer.done()
        Path(release).touch()
        assert answer.result() == 11.0
    wait_for(lambda: len([pid for pid in workers if psutil.pid_exists(pid)]) == 1, "the end of the old worker")


def test_a_killed_scorer_comes_back_and_is_told_once(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0))
    os.kill(status.pids[0], 9)
    wait_for(lambda: journal.events("endpoint.restarted"), "the journal's entry")
    assert ask(target) == 11.0
    assert target.status("flights").health == "healthy"
    (event,) = journal.events("endpoint.*")
    assert event.data["because"] == "scorer 0 was ended by SIGKILL"
    assert event.data["actor"] == "supervisor"


def test_a_killed_worker_comes_back_where_its_scorer_waits_for_it(target: LocalTarget, workspace: Workspace) -> None:
    before = set(deploy(target, offset_pickled(workspace, "1", 10.0)).pids)
    sockets = sorted(workspace.sockets.glob("*.s"))
    worker = next(pid for pid in before if "worker" in " ".join(psutil.Process(pid).cmdline()))
    os.kill(worker, 9)
    wait_for(lambda: len(set(target.status("flights").pids) - before) == 1, "a new worker")
    wait_for(lambda: target.status("flights").health == "healthy", "health")
    assert sorted(workspace.sockets.glob("*.s")) == sockets
    assert ask(target) == 11.0


def test_a_killed_supervisor_takes_its_children_along_and_can_be_restarted(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    warm = dataclasses.replace(offset_pickled(workspace, "2", 20.0), weight=0.0)
    status = deploy(target, offset_onnx(workspace, "1", 10.0), warm)
    children = [psutil.Process(pid) for pid in status.pids]
    os.kill(status.pid, 9)
    wait_for(lambda: not any(child.is_running() for child in children), "the end of the children")
    dead = target.status("flights")
    assert (dead.health, dead.url) == ("down", status.url)
    assert "ended" in dead.because

    again = LocalTarget(workspace, journal).restart("flights")
    assert (again.health, again.url) == ("healthy", status.url)
    assert ask(target) == 11.0
    assert ask(target, **{"x-nbmlops-version": "2"}) == 21.0
    assert [event.kind for event in journal.events()] == ["endpoint.restarted"]


def test_a_later_kernel_finds_it(target: LocalTarget, workspace: Workspace) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0))
    later = LocalTarget(Workspace.find(workspace.root))
    assert later.status("flights").pid == status.pid
    assert later.spec("flights") == target.spec("flights")
    assert later.token("flights") == target.token("flights")


def test_it_belongs_to_nobodys_session(target: LocalTarget, workspace: Workspace) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0))
    supervisor = psutil.Process(status.pid)
    assert os.getsid(status.pid) != os.getsid(0)
    assert supervisor.pid not in [child.pid for child in psutil.Process().children(recursive=True)]


def test_the_token_is_in_its_file_alone(target: LocalTarget, workspace: Workspace) -> None:
    status = deploy(target, offset_pickled(workspace, "1", 10.0))
    token, folder = target.token("flights"), workspace.run / "flights"
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    for pid in (status.pid, *status.pids):
        process = psutil.Process(pid)
        assert token not in " ".join(process.cmdline())
        assert token not in str(process.environ())
    for file in (file for file in folder.rglob("*") if file.is_file()):
        assert file.name == "token" or token.encode() not in file.read_bytes(), file


def test_a_failed_change_leaves_the_old_arms(target: LocalTarget, workspace: Workspace) -> None:
    one = offset_onnx(workspace, "1", 10.0)
    deploy(target, one)

    class Broken:
        def __reduce__(self):
            return (exec, ("raise RuntimeError('no such feature store')",))

    with pytest.raises(EndpointError, match="no such feature store"):
        deploy(target, dataclasses.replace(one, weight=0.0), pickled(workspace, "2", Broken()))
    assert target.spec("flights").traffic == {"1": 100.0}
    assert target.status("flights").health == "healthy"
    assert ask(target) == 11.0


def test_a_model_that_does_not_load_leaves_nothing(target: LocalTarget, workspace: Workspace) -> None:
    class Broken:
        def __reduce__(self):
            return (exec, ("raise RuntimeError('no such feature store')",))

    with pytest.raises(EndpointError, match="no such feature store"):
        deploy(target, pickled(workspace, "1", Broken()))
    assert target.names() == ()


def test_a_model_that_never_loads_is_given_up(
    target: LocalTarget, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless:
        def __reduce__(self):
            return (exec, ("import time; time.sleep(600)",))

    monkeypatch.setenv("NBMLOPS_START_TIMEOUT", "2")
    with pytest.raises(EndpointError, match="not ready within 2 s"):
        deploy(target, pickled(workspace, "1", Endless()))
    assert target.names() == ()


def test_a_port_in_use_is_named_with_its_holder(target: LocalTarget, workspace: Workspace) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(EndpointError, match=rf"port {port} is in use by .* \(pid {os.getpid()}\)"):
            deploy(target, offset_onnx(workspace, "1", 10.0), port=port)
    assert target.names() == ()


def test_a_given_port_is_kept(target: LocalTarget, workspace: Workspace) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arm = offset_onnx(workspace, "1", 10.0)
    assert deploy(target, arm, port=port).url == f"http://127.0.0.1:{port}"
    with pytest.raises(Refused, match=f"listens on port {port}"):
        deploy(target, arm, port=port + 1)


def test_a_corrupt_bundle_is_refused_before_anything_starts(target: LocalTarget, workspace: Workspace) -> None:
    arm = offset_onnx(workspace, "1", 10.0)
    model = arm.bundle / "model.onnx"
    model.chmod(0o644)
    model.write_bytes(b"something else")
    with pytest.raises(Corrupt, match=r"model\.onnx was changed"):
        deploy(target, arm)
    assert target.names() == ()


def test_unknown_names_get_the_nearest(target: LocalTarget, workspace: Workspace) -> None:
    deploy(target, offset_onnx(workspace, "1", 10.0))
    with pytest.raises(NotFound, match="Did you mean flights"):
        target.status("flight")


def test_of_two_deploys_at_once_one_is_refused(target: LocalTarget, workspace: Workspace) -> None:
    plans = [
        target.plan(EndpointSpec("flights", "offset", (offset_onnx(workspace, version, float(version)),)))
        for version in ("1", "2")
    ]
    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(LocalTarget(workspace).apply, plan) for plan in plans]
    errors = [result.exception() for result in results]
    assert sorted(map(type, errors), key=str) == sorted([type(None), Refused], key=str)
    assert target.status("flights").health == "healthy"


def test_two_kernels_that_move_the_traffic_at_once_agree_in_the_end(target: LocalTarget, workspace: Workspace) -> None:
    arms = (offset_onnx(workspace, "1", 10.0), dataclasses.replace(offset_onnx(workspace, "2", 20.0), weight=0.0))
    deploy(target, *arms)

    def kernel(shares: tuple[int, ...]) -> list[str]:
        journal, outcomes = Journal.open(workspace), []
        for share in shares:
            try:
                operate.set_traffic(workspace, journal, "flights", traffic={"1": share, "2": 100 - share})
                outcomes.append("moved")
            except Refused as error:
                outcomes.append(str(error))
        return outcomes

    with ThreadPoolExecutor(2) as pool:
        outcomes = [one for found in pool.map(kernel, [(90, 80, 70, 60), (10, 20, 30, 40)]) for one in found]
    status, journal = target.status("flights"), Journal.open(workspace)
    moved = [event for event in journal.events("endpoint.traffic_moved") if "revision" in event.data]
    assert len(outcomes) == 8
    assert all(one == "moved" or "was changed after this was planned" in one for one in outcomes)
    assert outcomes.count("moved") == len({event.data["revision"] for event in moved}) == status.revision - 1
    assert (
        status.traffic == target.spec("flights").traffic == max(moved, key=lambda e: e.data["revision"]).data["traffic"]
    )
    assert status.health == "healthy"


def test_a_long_workspace_path_still_gets_sockets(target: LocalTarget, workspace: Workspace) -> None:
    root = workspace.root / ("a" * 120)
    (root / ".nbmlops").mkdir(parents=True)
    far = LocalTarget(Workspace(root).open())
    try:
        assert deploy(far, offset_pickled(Workspace(root), "1", 10.0)).health == "healthy"
        assert ask(far) == 11.0
    finally:
        far.delete("flights")


def test_an_idle_endpoint_stops_and_says_so(target: LocalTarget, workspace: Workspace, journal: Journal) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0), idle_hours=0.5 / 3600)
    wait_for(lambda: journal.events("endpoint.stopped"), "the journal's entry")
    wait_for(lambda: not psutil.pid_exists(status.pid), "its end")
    after = target.status("flights")
    assert after.health == "down"
    assert "no request for" in after.because
    assert target.restart("flights").url == status.url


def test_memory_past_the_soft_limit_gets_a_new_process(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    class Hoarder:
        def predict(self, frame):
            self.kept = bytearray(400 * 2**20)
            self.kept[::4096] = b"x" * len(self.kept[::4096])
            return frame["x"].to_numpy() + 10.0

    before = set(deploy(target, pickled(workspace, "1", Hoarder()), resources=Resources(memory_mib=350)).pids)
    assert ask(target) == 11.0
    wait_for(lambda: journal.events("endpoint.restarted"), "the journal's entry")
    assert "over the memory limit of 350 MiB" in journal.events("endpoint.restarted")[0].data["because"]
    assert set(target.status("flights").pids) - before
    assert ask(target) == 11.0


def test_a_limit_below_what_it_takes_at_rest_is_said_and_kills_nothing(
    target: LocalTarget, workspace: Workspace
) -> None:
    before = deploy(target, offset_onnx(workspace, "1", 10.0), resources=Resources(memory_mib=10)).pids
    wait_for(lambda: target.status("flights").health == "degraded", "the watchdog's look")
    assert "at rest, over the memory limit of 10 MiB" in target.status("flights").because
    assert target.status("flights").pids == before


def test_cores_are_an_affinity(target: LocalTarget, workspace: Workspace) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0), resources=Resources(cpu=1.0))
    assert all(len(os.sched_getaffinity(pid)) == 1 for pid in status.pids)
    status = deploy(target, offset_onnx(workspace, "1", 10.0), resources=Resources(workers=2))
    assert len(status.pids) == 2
    assert all(os.sched_getaffinity(pid) == os.sched_getaffinity(0) for pid in status.pids)
    assert ask(target) == 11.0


def test_a_removed_workspace_ends_it(target: LocalTarget, workspace: Workspace) -> None:
    status = deploy(target, offset_onnx(workspace, "1", 10.0))
    workspace.home.rename(workspace.root / "moved")
    wait_for(lambda: not psutil.pid_exists(status.pid), "its end")
    (workspace.root / "moved").rename(workspace.home)


def test_logs_hold_what_the_model_says(target: LocalTarget, workspace: Workspace) -> None:
    class Chatty:
        def predict(self, frame):
            print("scoring now")
            return frame["x"].to_numpy()

    deploy(target, pickled(workspace, "1", Chatty()))
    ask(target)
    wait_for(lambda: "scoring now" in target.logs("flights"), "the line")


def commands() -> list[list[str]]:
    """Return the command lines of what this test session started; what ends meanwhile has none."""
    found = []
    for one in started_from_here():
        with contextlib.suppress(psutil.Error):
            found.append(one.cmdline())
    return found


def test_an_interrupted_deploy_leaves_nothing(target: LocalTarget, workspace: Workspace) -> None:
    class Endless:
        def __reduce__(self):
            return (exec, ("import time; time.sleep(600)",))

    arm = pickled(workspace, "1", Endless())
    code = f"""
import pathlib
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import ArmSpec, EndpointSpec, LocalTarget
arm = ArmSpec("1", "offset", pathlib.Path({str(arm.bundle)!r}), {arm.digest!r}, {arm.runtime!r})
target = LocalTarget(Workspace(pathlib.Path({str(workspace.root)!r})))
target.apply(target.plan(EndpointSpec("flights", "offset", (arm,))))
"""
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as kernel:
        wait_for(lambda: any("--bundle" in line for line in commands()), "the worker")
        kernel.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in kernel.communicate()[1]
    wait_for(lambda: not started_from_here(), "the end of every process")
    assert target.names() == ()


def test_one_that_can_not_come_back_is_down_and_says_why_once(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    arm = offset_pickled(workspace, "1", 10.0)
    pids = deploy(target, arm).pids
    worker = next(pid for pid in pids if "--bundle" in psutil.Process(pid).cmdline())
    arm.bundle.rename(arm.bundle.with_name("hidden"))
    os.kill(worker, 9)
    wait_for(lambda: journal.events("endpoint.unhealthy"), "the journal's entry")
    status = target.status("flights")
    assert status.health == "down"
    assert "holds no readable bundle.json" in status.because
    with pytest.raises(requests.HTTPError, match="503"):
        ask(target)
    arm.bundle.with_name("hidden").rename(arm.bundle)
    wait_for(lambda: target.status("flights").health == "degraded", "its return")
    assert ask(target) == 11.0
    assert len(journal.events("endpoint.*")) == 1


def test_going_back_from_a_version_that_keeps_dying(
    target: LocalTarget, workspace: Workspace, journal: Journal
) -> None:
    class Dies:
        def predict(self, rows):
            import os

            os._exit(9)

    one, two = offset_onnx(workspace, "1", 10.0), pickled(workspace, "2", Dies())
    deploy(target, one)
    deploy(target, dataclasses.replace(one, weight=0.0), two)
    hidden = two.bundle.rename(two.bundle.with_name("hidden"))
    with pytest.raises(requests.HTTPError, match="503"):
        ask(target)
    wait_for(lambda: journal.events("endpoint.unhealthy"), "the journal's entry")
    status = deploy(target, one, dataclasses.replace(two, weight=0.0))
    assert status.health == "healthy", status.because
    assert [arm.version for arm in status.arms] == [arm.version for arm in target.spec("flights").arms] == ["1"]
    assert ask(target) == 11.0
    hidden.rename(two.bundle)


def test_a_trial_ends_with_the_kernel_that_was_killed(target: LocalTarget, workspace: Workspace) -> None:
    arm = offset_onnx(workspace, "1", 10.0)
    code = f"""
import pathlib, time
from nbmlops.deployment import trial
with trial(pathlib.Path({str(arm.bundle)!r})):
    print("runs", flush=True)
    time.sleep(600)
"""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    environment = os.environ | {"TMPDIR": str(folder)}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as kernel:
        assert kernel.stdout.readline() == "runs\n"
        kernel.kill()
    wait_for(lambda: not started_from_here(), "the end of every process")
    wait_for(lambda: not list(folder.glob("nbmlops-*")), "the end of its folder")
    shutil.rmtree(folder)


def test_a_bundle_of_another_server_is_served_by_its_own(target: LocalTarget, workspace: Workspace) -> None:
    arm = offset_onnx(workspace, "1", 10.0)
    folder = workspace.bundles / "draft"
    shutil.copytree(arm.bundle, folder)
    island = folder / "nbmlops_serving/__init__.py"
    island.chmod(0o644)
    island.write_text(island.read_text() + "# an older server\n")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["nbmlops_serving/__init__.py"] = digests.of_file(island)
    text = digests.canonical(manifest)
    (folder / "bundle.json").chmod(0o644)
    (folder / "bundle.json").write_bytes(text)
    digest = digests.of_bytes(text)
    own = folder.rename(workspace.bundles / digest.removeprefix(digests.PREFIX))
    status = deploy(target, dataclasses.replace(arm, bundle=own, digest=digest))
    commands = [" ".join(psutil.Process(pid).cmdline()) for pid in status.pids]
    assert any("nbmlops_serving.worker" in command for command in commands)
    assert ask(target) == 11.0
    verify(own)
