"""A disk that is full while an endpoint keeps its traffic."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
import pathlib, sys, requests
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import Capture, LocalTarget
from nbmlops.journal import Journal
from nbmlops.monitoring.collected import CollectedData
from nbmlops.testing.models import offset_onnx
from tests.deployment.conftest import deploy, wait_for

disk, workspace = pathlib.Path(sys.argv[1]), Workspace(pathlib.Path({root!r})).open()
workspace.collected.mkdir()
(workspace.collected / "flights").symlink_to(disk)
journal = Journal.open(workspace)
target = LocalTarget(workspace, journal)
url = deploy(target, offset_onnx(workspace, "1", 10.0), capture=Capture()).url
headers = {{"Authorization": f"Bearer {{target.token('flights')}}"}}


def ask(number):
    body = {{"dataframe_split": {{"columns": ["x"], "data": [[number]]}}}}
    answer = requests.post(f"{{url}}/invocations", json=body, headers=headers, timeout=20)
    assert answer.json() == {{"predictions": [number + 10.0]}}, answer.text


def says(line):
    return line in requests.get(f"{{url}}/metrics", headers=headers, timeout=20).text.splitlines()


try:
    ask(0.0)
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    for number in range(1, 40):
        ask(float(number))
    wait_for(lambda: journal.events("endpoint.capture_failing"), "the journal's entry")
    assert says('nbmlops_capture_failing{{endpoint="flights"}} 1.0')
    print(journal.events("endpoint.capture_failing")[0].data["because"])
    (disk / "filler").unlink()
    wait_for(lambda: journal.events("endpoint.capture_recovered"), "the end of it")
    for number in range(40, 50):
        ask(float(number))
    kept = CollectedData.of(workspace, "flights")
    wait_for(lambda: len(kept.frame()) == 50, "every record")
    print([event.kind for event in journal.events("endpoint.*")])
finally:
    target.delete("flights")
"""


def test_scoring_goes_on_and_the_journal_says_when_it_began_and_ended(
    run_on_mount: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "project" / ".nbmlops").mkdir(parents=True)
    done = run_on_mount(SCRIPT.format(root=str(tmp_path / "project")), size="256k")
    assert done.returncode == 0, done.stderr
    told, kinds = done.stdout.splitlines()
    assert told == "the traffic can't be kept (No space left on device); scoring goes on"
    assert kinds == "['endpoint.capture_failing', 'endpoint.capture_recovered']"
