"""The machine: operating system, processor, memory and graphics processors."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nbmlops.core.records import Record

_NVIDIA = Path("/proc/driver/nvidia/gpus")
_PATIENCE = 2.0  # seconds; nvidia-smi wakes the driver up where nothing else keeps it awake


@dataclass(frozen=True)
class Machine(Record):
    """Where a model was made.

    Attributes
    ----------
    os, cpu : str
        Such as ``Linux 6.1.0 x86_64`` and the processor's own name.
    cores : int
        Logical cores that this process may use.
    memory_bytes : int
        Of the machine, 0 where the system does not say.
    gpus : tuple of str
        Names of the graphics processors; empty where none is found.
    """

    os: str
    cpu: str
    cores: int
    memory_bytes: int
    gpus: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def capture_machine() -> Machine:
    """Return this machine; looked at once a process."""
    system = platform.uname()
    name = f"{system.system} {system.release} {system.machine}"
    return Machine(name, _cpu() or system.machine, _cores(), _memory(), _gpus())


def _cpu() -> str:
    if sys.platform == "darwin":
        return _answer("sysctl", "-n", "machdep.cpu.brand_string")
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return ""
    with info.open() as lines:  # a large machine has a thousand of them, and the first processor is enough
        found = (
            line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model", "cpu model"))
        )
        return next(found, "")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # a system without these names
        return 0


def _gpus() -> tuple[str, ...]:
    """Read NVIDIA's names from the driver's files, which answer at once, else ask ``nvidia-smi``."""
    if _NVIDIA.is_dir():
        texts = [(folder / "information").read_text() for folder in sorted(_NVIDIA.iterdir())]
        models = [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if "Model:" in line]
        if models:
            return tuple(models)
    lines = _answer("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _answer(program: str, *arguments: str) -> str:
    """Return what a program prints, or nothing where it is missing, fails or takes too long."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
