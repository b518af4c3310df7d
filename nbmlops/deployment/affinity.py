"""A soft limit on CPU: which cores the processes of an endpoint are kept on."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from nbmlops.core.errors import InvalidInput

# As this process was given them: before an endpoint's own, smaller choice.
AVAILABLE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def choose_cores(available: Sequence[int], cores: float | None, name: str) -> set[int]:
    """Return the cores for endpoint `name`: as many as asked for, begun at a place that depends on its name.

    >>> sorted(choose_cores([0, 1, 2, 3], None, "flights"))
    [0, 1, 2, 3]
    """
    count = len(available) if cores is None else min(math.ceil(cores), len(available))
    first = zlib.crc32(name.encode()) % len(available)
    return {available[(first + step) % len(available)] for step in range(count)}


def check_cores(cores: float | None) -> None:
    """Refuse more cores than there are.

    Raises
    ------
    InvalidInput
    """
    if cores is not None and AVAILABLE and cores > len(AVAILABLE):
        raise InvalidInput(f"cpu is {cores:g}", expected=f"at most {len(AVAILABLE)}, the cores of this machine")


def keep_on_cores(pids: Iterable[int], cores: float | None, name: str) -> None:
    """Keep processes, and what they start later, on some cores; nothing happens where the system can't do that."""
    if not AVAILABLE:
        return
    chosen = choose_cores(AVAILABLE, cores, name)
    for pid in pids:
        for thread in _threads(pid):
            with suppress(ProcessLookupError, PermissionError):
                os.sched_setaffinity(thread, chosen)


def _threads(pid: int) -> list[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return [pid]
