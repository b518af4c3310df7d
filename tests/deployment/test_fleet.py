"""The fleet's own failures, without a server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from nbmlops.deployment import processes
from nbmlops.deployment.child import ChildFailed, Command
from nbmlops.deployment.fleet import Fleet, Ground
from nbmlops.deployment.handover import Access, Places
from nbmlops.deployment.spec import EndpointSpec
from tests.deployment.conftest import an_arm


def test_a_process_that_can_not_be_started_is_a_failure_of_its_post(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_program(post, folder, listener):
        return Command(post.name, ("/no/such/python",), {}, folder)

    monkeypatch.setattr(processes, "scorer_command", no_such_program)
    monkeypatch.setattr(processes, "needs_worker", lambda arm: False)
    ground = Ground(
        tmp_path, str(tmp_path / "s"), 0, Places(tmp_path, tmp_path, tmp_path), logging.getLogger("test"), 5.0
    )

    async def configure() -> None:
        fleet = Fleet(ground, print, Access("token"))
        await fleet.configure(EndpointSpec("flights", "offset", (an_arm(),)))

    with pytest.raises(ChildFailed, match=r"scorer 0: .*/no/such/python"):
        asyncio.run(configure())
