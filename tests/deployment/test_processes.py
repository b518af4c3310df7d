"""The commands of processes: what a proved model runs in."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nbmlops.core.errors import EndpointError
from nbmlops.core.workspace import Workspace
from nbmlops.deployment.processes import Post, isolated, needs_worker, worker_command
from nbmlops.testing.models import offset_onnx

from .conftest import an_arm


def test_a_proved_model_runs_in_its_environment_cut_off_from_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "of the kernel"))
    monkeypatch.setenv("NBMLOPS_ACTOR", "tester")
    (tmp_path / "nbmlops_serving").mkdir()
    told = "import os, sys; print(sys.argv[1:], sys.path[0], __name__, sys.flags.isolated, 'PYTHONPATH' in os.environ)"
    (tmp_path / "nbmlops_serving/worker.py").write_text(told)
    arm = replace(an_arm(), bundle=tmp_path, python=sys.executable, runtime="sklearn")

    command = worker_command(Post(0, "1"), arm, folder=tmp_path, socket=tmp_path / "s")

    environment = dict(command.environment)
    assert environment["NBMLOPS_ACTOR"] == "tester"
    done = subprocess.run(command.argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == (f"['--bundle', '{tmp_path}', '--socket', '{tmp_path / 's'}'] {tmp_path} __main__ 1 False\n")


def test_an_environment_that_was_cleared_away_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r"was cleared away.*Deploy the version again"):
        isolated(tmp_path / "gone/bin/python", tmp_path, "worker")


def test_a_graph_that_was_proved_with_other_packages_gets_a_worker(workspace: Workspace) -> None:
    arm = offset_onnx(workspace, "1", 10.0)
    proved = replace(arm, python=sys.executable)
    assert not needs_worker(arm)
    assert not needs_worker(proved), "what the lock pins is what is installed here"

    lock = arm.bundle / "requirements.lock"
    other = workspace.bundles / "other"
    other.mkdir()
    (other / "bundle.json").write_bytes((arm.bundle / "bundle.json").read_bytes())
    (other / lock.name).write_text(lock.read_text().replace("numpy==", "numpy==0."))
    assert needs_worker(replace(proved, bundle=other))
    assert not needs_worker(replace(arm, bundle=other)), "unproved, it is served by what is here"
