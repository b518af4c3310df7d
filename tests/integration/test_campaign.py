"""Parts of the campaign and of the soak: a live endpoint under load, its processes killed, its memory watched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
pytestmark = pytest.mark.integration


def run(script: str, folder: Path, *options: str) -> str:
    command = [sys.executable, str(BENCHMARKS / script), "--out", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / script).with_suffix(".md").read_text()


def test_what_was_promised_holds_when_processes_are_killed(tmp_path: Path) -> None:
    page = run("campaign.py", tmp_path, "--rounds", "5", "--seed", "1")
    for kind in ("scorer", "worker", "supervisor", "kernel", "everything"):
        assert f"| {kind} |" in page
    assert "5 of 5 rounds kept all of it" in page


def test_memory_stays_flat_over_many_requests(tmp_path: Path) -> None:
    page = run("soak.py", tmp_path, "--requests", "20000", "--step", "4000")
    assert "with 200" in page
    assert "with 400" in page
    assert "with 422" in page
