from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from nbmlops.profiling.usage import MIB, Usage

ALLOCATE = """
import sys
print("ready", flush=True)
sys.stdin.readline()
block = bytearray(64 * 1024 * 1024)
block[::4096] = b"x" * len(block[::4096])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def child():
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", ALLOCATE], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def step(process) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_memory_and_time_are_those_that_psutil_sees(child):
    outside = psutil.Process(child.pid)
    usage = Usage([child.pid])
    assert usage.rss_mib() == pytest.approx(outside.memory_info().rss / MIB, rel=0.15)
    assert usage.cpu_seconds() == pytest.approx(sum(outside.cpu_times()[:2]), abs=0.05)


def test_the_peak_is_kept_although_the_memory_goes(child):
    usage = Usage([child.pid])
    idle = usage.rss_mib()
    with usage.peak() as peak:
        step(child)
        assert child.stdout.readline() == "held\n"
        while peak.rss_mib < idle + 60:
            time.sleep(0.01)
        step(child)
        child.wait()
    assert peak.rss_mib >= idle + 60
    assert usage.rss_mib() == 0


def test_several_processes_count_together(child):
    both = Usage([child.pid, os.getpid()]).rss_mib()
    assert both > Usage([os.getpid()]).rss_mib()
    assert Usage([2**22 + 1]).rss_mib() == 0
