from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbmlops.core.workspace import Workspace
from nbmlops.deployment import compacting
from nbmlops.deployment.compacting import DAY, PERIOD, Compacting
from nbmlops.serving.segments import Segment, frame_of
from tests.deployment.conftest import PATIENCE
from tests.serving.spools import record

LOG = logging.getLogger("test")


def finished(workspace: Workspace) -> Path:
    """Write a finished spool file and return its folder."""
    folder = workspace.collected / "flights"
    segment = Segment(folder, "scorer")
    segment.append(frame_of([record(1)]))
    segment.close()
    return folder


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.integration
def test_what_is_finished_is_compacted_when_it_is_time_and_not_before(workspace, caplog):
    folder = finished(workspace)

    async def days():
        one = Compacting(workspace, "flights", LOG)
        await one.look(1000.0)
        await one.look(1000.0 + PERIOD - 1)
        assert one._process is None
        await one.look(1000.0 + PERIOD + 1)
        await until(lambda: not list(folder.glob("*.spool")))
        await until(lambda: one._process.returncode is not None)
        await one.look(1000.0 + PERIOD + 2)
        assert one._process is None
        await one.look(1000.0 + 3 * PERIOD)
        assert one._process is None, "nothing is new"
        await one.look(1000.0 + DAY + 2 * PERIOD)
        assert one._process is not None, "old data is to be deleted"
        await one.close()
        assert one._process.returncode is not None

    asyncio.run(days())
    assert list((folder / "undecoded").iterdir())
    assert not caplog.records


@pytest.mark.integration
def test_a_failure_is_logged_and_tried_again(workspace, caplog, monkeypatch):
    monkeypatch.setattr(compacting, "MODULE", "nbmlops.monitoring.nothing")
    finished(workspace)

    async def fail():
        one = Compacting(workspace, "flights", LOG)
        await one.look(0.0)
        await one.look(PERIOD + 1)
        await until(lambda: one._process.returncode is not None)
        await one.look(PERIOD + 2)
        await one.look(3 * PERIOD)
        assert one._process is not None
        await one.close()

    asyncio.run(fail())
    assert "No module named nbmlops.monitoring.nothing" in caplog.text


def test_a_trial_keeps_nothing_to_compact():
    asyncio.run(Compacting(None, "trial", LOG).look(10 * DAY))


@pytest.mark.integration
def test_a_compaction_ends_with_whoever_started_it(workspace):
    folder = finished(workspace)
    (folder / ".compacting").touch()
    script = "import time, nbmlops.monitoring.compact as c; c.compact = lambda *a, **k: time.sleep(600); c.main()"
    command = [sys.executable, "-c", script, str(folder), "--attached"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        child.stdin.close()
        deadline = time.monotonic() + PATIENCE
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert child.returncode == 1
