"""A part of the campaign in which processes of a live endpoint are killed under load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).resolve().parents[2] / "benchmarks/campaign.py"


@pytest.mark.integration
def test_what_was_promised_holds_when_processes_are_killed(tmp_path: Path) -> None:
    command = [sys.executable, str(CAMPAIGN), "--rounds", "5", "--seed", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "campaign.md").read_text()
    for kind in ("scorer", "worker", "supervisor", "kernel", "everything"):
        assert f"| {kind} |" in page
    assert "5 of 5 rounds kept all of it" in page
