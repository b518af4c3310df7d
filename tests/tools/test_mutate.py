"""The mutation tool, on a small project of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools/mutate.py"
GUARDED = 'def half(number):\n    if number % 2:\n        raise ValueError("odd")\n    return number // 2\n'
TESTS = """
import pytest
from halves import half

def test_refuses_odd_numbers():
    with pytest.raises(ValueError):
        half(3)

def test_halves():
    assert half(4) == 2

def test_fails():
    assert half(4) == 3
"""
MUTANT = """
[[mutant]]
name = "odd numbers"
file = "halves.py"
find = '''{find}'''
replace = '''{replace}'''
tests = ["test_halves.py::{test}"]
"""
GUARD, NO_GUARD = "if number % 2:", "if False:"


def mutate(project: Path, **entry: str) -> subprocess.CompletedProcess[str]:
    """Write a project with one mutant and try it."""
    for folder in ("tools", "tests/mutants"):
        (project / folder).mkdir(parents=True)
    shutil.copy(TOOL, project / "tools")
    (project / "halves.py").write_text(GUARDED)
    (project / "test_halves.py").write_text(TESTS)
    (project / "tests/mutants/halves.toml").write_text(MUTANT.format(**entry))
    subprocess.run(["git", "init", "--quiet", project], check=True)
    command = [sys.executable, "tools/mutate.py", "--jobs", "1"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_guard_that_its_test_holds_passes(tmp_path: Path) -> None:
    done = mutate(tmp_path, find=GUARD, replace=NO_GUARD, test="test_refuses_odd_numbers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 guards are held by their tests" in done.stdout
    assert (tmp_path / "halves.py").read_text() == GUARDED, "the checkout is never touched"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"find": GUARD, "replace": NO_GUARD, "test": "test_halves"}, "SURVIVED: odd numbers"),
        ({"find": "if number % 3:", "replace": NO_GUARD, "test": "test_refuses_odd_numbers"}, "is found 0 times"),
        ({"find": "number", "replace": "other", "test": "test_refuses_odd_numbers"}, "is found 3 times"),
        ({"find": GUARD, "replace": "if (:", "test": "test_refuses_odd_numbers"}, "BROKEN: odd numbers"),
        ({"find": GUARD, "replace": NO_GUARD, "test": "test_fails"}, "do not pass as they are"),
    ],
    ids=["survives", "is not found", "is found often", "can't be imported", "fails anyway"],
)
def test_anything_else_is_a_failure(tmp_path: Path, entry: dict[str, str], complaint: str) -> None:
    done = mutate(tmp_path, **entry)
    assert done.returncode == 1
    assert complaint in done.stdout + done.stderr
