"""What the tests of endpoints share: a target, arms to deploy, and the check that nothing is left running."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from nbmlops.core.workspace import Workspace
from nbmlops.deployment import ArmSpec, EndpointSpec, EndpointStatus, LocalTarget
from nbmlops.journal import Journal

PATIENCE = 20.0  # seconds for a condition that must come true
OURS = ("nbmlops.deployment.supervisor", "nbmlops.serving", "nbmlops_serving")


def wait_for(condition: Callable[[], object], what: str = "the condition") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {PATIENCE} s"
        time.sleep(0.02)


def started_from_here() -> list[psutil.Process]:
    """Return the supervisors, scorers and workers that this test session started."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = any(part in " ".join(process.cmdline()) for part in OURS)
            if ours and process.environ().get("NBMLOPS_TEST_SESSION") == os.environ["NBMLOPS_TEST_SESSION"]:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def journal(workspace: Workspace) -> Journal:
    return Journal.open(workspace)


@pytest.fixture
def target(workspace: Workspace, journal: Journal) -> Iterator[LocalTarget]:
    """A local target; what a test leaves deployed is deleted, and then nothing may be left."""
    local = LocalTarget(workspace, journal)
    yield local
    for name in local.names():
        local.delete(name)
    wait_for(lambda: not started_from_here(), "the end of every process")
    assert list(workspace.sockets.iterdir()) == []
    assert [path for path in workspace.run.iterdir() if path.is_dir()] == []


def deploy(target: LocalTarget, *arms: ArmSpec, **facts: object) -> EndpointStatus:
    spec = EndpointSpec(endpoint="flights", model=arms[0].model, arms=arms, **facts)  # type: ignore[arg-type]
    return target.apply(target.plan(spec))


def an_arm(version: str = "1", weight: float = 100.0) -> ArmSpec:
    """An arm for tests that start nothing."""
    return ArmSpec(version, "offset", Path("/bundles") / version, f"sha256:{version * 64}", "onnx", weight)
