"""CPU, memory and open files of the processes that make up an endpoint."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable

import psutil

from .counts import Counts


def measure(counts: Counts, pids: Iterable[int], role: str) -> None:
    """Add the figures of processes; one that has ended has none.

    Parameters
    ----------
    counts : Counts
    pids : iterable of int
    role : str
        ``scorer`` or ``worker``.
    """
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            _measure(counts, psutil.Process(pid), role)


def _measure(counts: Counts, process: psutil.Process, role: str) -> None:
    labels = (role, str(process.pid))
    with process.oneshot():
        memory, times, started = process.memory_info(), process.cpu_times(), process.create_time()
        opened = process.num_fds()
    counts.counters["process_cpu_seconds", *labels] = times.user + times.system
    gauges = {
        "process_resident_memory_bytes": memory.rss,
        "process_virtual_memory_bytes": memory.vms,
        "process_start_time_seconds": started,
        "process_open_fds": opened,
    }
    if process.pid == os.getpid():
        gauges["process_max_fds"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for name, value in gauges.items():
        counts.gauges[name, *labels] = float(value)


def workers(sockets: Iterable[str]) -> list[int]:
    """Return the ids of the model processes that listen on these sockets.

    They are this process' siblings: a supervisor starts both.
    """
    wanted = set(sockets)
    if not wanted:
        return []
    found = []
    with contextlib.suppress(psutil.Error):
        for sibling in psutil.Process(os.getppid()).children():
            with contextlib.suppress(psutil.Error):
                if wanted & set(sibling.cmdline()):
                    found.append(sibling.pid)
    return found
