"""The check of sizes, on a small project of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools/sizes.py"
DOCSTRING = '    """' + "Say it.\n    " * 60 + '"""\n'


def sizes(project: Path, source: str, *, path: str = "nbmlops/module.py") -> subprocess.CompletedProcess[str]:
    """Write a project with one module and measure it."""
    (project / path).parent.mkdir(parents=True)
    (project / path).write_text(source)
    (project / "tools").mkdir()
    shutil.copy(TOOL, project / "tools")
    return subprocess.run([sys.executable, "tools/sizes.py"], cwd=project, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("x = 1\n" * 401, "401 lines, more than 400"),
        ("def f():\n" + "    x = 1\n" * 50, "f: 51 lines, more than 50"),
        ("def f(a, b, c, d): ...\n", "4 positional parameters, more than 3"),
        ("def f(a, *, b, c, d, e, f, g): ...\n", "7 parameters, more than 6"),
    ],
    ids=["module", "function", "positional", "parameters"],
)
def test_what_is_too_large_is_named(tmp_path: Path, source: str, complaint: str) -> None:
    done = sizes(tmp_path, source)
    assert done.returncode == 1
    assert f"nbmlops/module.py{':1 ' if 'def' in source else ': '}" in done.stderr
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("def f():\n" + DOCSTRING + "    return 1\n", "nbmlops/module.py"),
        ("class C:\n    def f(self, a, b, c): ...\n", "nbmlops/module.py"),
        ("class C:\n    def __exit__(self, a, b, c, d): ...\n", "nbmlops/module.py"),
        ("def verb(a, *, b, c, d, e, f, g): ...\n", "nbmlops/workflows/verb.py"),
    ],
    ids=["docstring", "self", "protocol", "verb"],
)
def test_what_is_no_burden_is_not_counted(tmp_path: Path, source: str, path: str) -> None:
    done = sizes(tmp_path, source, path=path)
    assert done.returncode == 0, done.stderr
    assert "median" in done.stdout
