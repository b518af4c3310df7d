"""What uv does for an environment: makes it, installs wheels and what its cache holds, and fetches where it may."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from nbmlops.core.errors import NbmlopsError, Refused
from nbmlops.packaging.pins import Pin

# What another environment or project says must not reach the new one.
FORGOTTEN = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON")
OFFLINE = "--offline"


def make(folder: Path) -> None:
    """Make an empty environment for the Python that runs here."""
    done = _run("venv", "--quiet", "--no-project", OFFLINE, "--python", sys.executable, str(folder))
    if done.returncode:
        raise NbmlopsError(f"uv could not make an environment: {_last(done)}", hint="Run it again, or use --no-proof.")


def install(pins: Sequence[Pin], python: Path, *, beside: Path) -> list[Pin]:
    """Install without the network; return those pins that can't be had so.

    Parameters
    ----------
    beside : pathlib.Path
        The folder where the paths of wheels begin.
    """
    if not pins or _install(pins, python, OFFLINE, beside=beside).returncode == 0:
        return []
    # One by one, for real: a dry run is content with the description of a package that the cache does not hold.
    return [pin for pin in pins if _install([pin], python, OFFLINE, beside=beside).returncode]


def fetch(pins: Sequence[Pin], python: Path) -> None:
    """Install from uv's index.

    Raises
    ------
    Refused
        The index has no such version, or can't be reached.
    """
    done = _install(pins, python, beside=python.parent)
    if done.returncode:
        raise Refused(
            f"{', '.join(map(str, pins))} could not be fetched: {_last(done)}",
            expected="packages that the index has, and a network that reaches it",
            hint="Install the pinned versions in this kernel, or register the model again with what it has.",
        )


def _install(pins: Sequence[Pin], python: Path, *options: str, beside: Path) -> subprocess.CompletedProcess[str]:
    asked = [pin.requirement for pin in pins]
    return _run(
        "pip", "install", "--quiet", "--no-deps", "--python", str(python), *options, "--", *asked, folder=beside
    )


def _run(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    from uv import find_uv_bin

    environment = {name: value for name, value in os.environ.items() if name not in FORGOTTEN}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    command = [find_uv_bin(), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(line.strip() for line in done.stderr.splitlines() if line.strip())[-600:]
