"""Registering on a full or a read-only disk: a clear error, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., "CompletedProcess[str]"]
SCRIPT = """
import os, subprocess, sys
from pathlib import Path
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
folder = Path(sys.argv[1])
os.environ["NBMLOPS_WORKSPACE"] = str(folder)
from nbmlops.core.errors import StorageError
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import current

data = pd.DataFrame(np.random.default_rng(0).normal(size=(5000, 4)), columns=list("abcd"))
data["late"] = (data.a > 0).astype(int)
model = LogisticRegression().fit(data[list("abcd")], data.late)
if os.fork() == 0:  # what a process holds open for writing keeps a disk from becoming read-only
    register_model(model, name="flights", data=data, label="late")
    os._exit(0)
assert os.wait()[1] == 0

def refused():
    try:
        register_model(model, name="flights", data=data, label="late")
    except StorageError as error:
        print(error)
        return True
    return False

def nothing_half_written():
    found = [version.reference for version in current().registry.search(None)]
    assert found == ["flights/1"], found
    left = list((folder / ".nbmlops" / "cache").glob("registering-*"))
    assert left == [], left
"""
READ_ONLY = """
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
assert refused()
subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
nothing_half_written()
"""
FULL = """
for left in (0, 60_000, 200_000):
    with (folder / "ballast").open("wb") as ballast:
        space = os.statvfs(folder)
        ballast.write(b"0" * (space.f_bavail * space.f_frsize - left))
    assert refused(), left
    (folder / "ballast").unlink()
    nothing_half_written()
assert register_model(model, name="flights", data=data, label="late").version == 2
"""


@pytest.mark.integration
def test_registering_on_a_read_only_or_a_full_disk_leaves_nothing(run_on_mount: Run) -> None:
    done = run_on_mount(SCRIPT + READ_ONLY + FULL, size="16m")
    assert done.returncode == 0, done.stderr
    read_only, *full = done.stdout.splitlines()
    assert "read-only" in read_only
    assert len(full) == 3
    assert all("disk is full" in line for line in full)
