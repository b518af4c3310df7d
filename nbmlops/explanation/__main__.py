"""The child's side of an explainer that works in a process of its own: ``python -m nbmlops.explanation FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from nbmlops.explanation.apart import work

if __name__ == "__main__":
    work(Path(sys.argv[1]))
