"""A kernel that operates the endpoint until it is killed: ``kernel.py ROOT ENDPOINT``."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from nbmlops.core.workspace import Workspace
from nbmlops.deployment import operate
from nbmlops.journal import Journal

if __name__ == "__main__":
    workspace = Workspace(Path(sys.argv[1]))
    journal = Journal.open(workspace)
    for share in itertools.cycle((40.0, 50.0)):
        operate.set_traffic(workspace, journal, sys.argv[2], traffic={"1": share, "2": 100.0 - share})
        print(share, flush=True)
