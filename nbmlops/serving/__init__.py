"""The scoring server: an island that imports nothing of nbmlops and ships inside every bundle.

It runs as ``nbmlops.serving`` in the package and as ``nbmlops_serving`` where it was copied into a bundle, so its
modules import each other relatively and nothing else of the project.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

__version__ = "0.1.0"
__all__ = ["__version__", "serving_digest", "source_files"]


def source_files() -> dict[str, Path]:
    """Return the island's own source: relative POSIX path -> file, sorted by path."""
    root = Path(__file__).parent
    files = sorted(path for pattern in ("*.py", "*.html") for path in root.rglob(pattern))
    return {path.relative_to(root).as_posix(): path for path in files}


def serving_digest() -> str:
    """Return the digest of the island's source.

    It is the digest of the canonical JSON of path -> digest of every source file, so that two copies of the server
    with equal code have equal digests wherever they lie and whatever caches lie beside them.

    Returns
    -------
    str
        ``sha256:`` and 64 hexadecimal digits.
    """
    digests = {name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for name, path in source_files().items()}
    text = json.dumps(digests, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
