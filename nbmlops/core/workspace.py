"""The workspace: one folder, ``.nbmlops`` at the project's root, that holds everything by default."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbmlops.core.errors import StorageError

FOLDER = ".nbmlops"
MARKERS = (FOLDER, ".git", "pyproject.toml")
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "fuse.sshfs"}
)
PROBE_BYTES = 4096
SOCKET_PATH_LIMIT = 100  # a Unix socket's path may hold 108 bytes; names inside the folder need a few


@dataclass(frozen=True)
class Workspace:
    """Where a project's models, journal, bundles and running endpoints live.

    Attributes
    ----------
    root : pathlib.Path
        The project's root, the folder that holds ``.nbmlops``.
    """

    root: Path

    @classmethod
    def find(cls, start: Path | str | None = None) -> Workspace:
        """Return the workspace of the nearest folder up with a marker, else of `start` itself.

        Markers are ``.nbmlops``, ``.git`` and ``pyproject.toml``. Without `start`, ``NBMLOPS_WORKSPACE`` names the
        folder itself; else the search begins in the current one. Nothing is created.
        """
        named = os.environ.get("NBMLOPS_WORKSPACE")
        if start is None and named:
            return cls(Path(named).expanduser().resolve())
        here = Path(start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if any((folder / marker).exists() for marker in MARKERS):
                return cls(folder)
        return cls(here)

    @property
    def home(self) -> Path:
        return self.root / FOLDER

    @property
    def mlflow_db(self) -> Path:
        return self.home / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def journal_db(self) -> Path:
        return self.home / "journal.db"

    @property
    def bundles(self) -> Path:
        return self.home / "bundles"

    @property
    def collected(self) -> Path:
        """What endpoints were sent and answered, in a folder for each."""
        return self.home / "collected"

    @property
    def run(self) -> Path:
        """Pids, tokens and logs of what runs; mode 0700."""
        return self.home / "run"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking URI: ``MLFLOW_TRACKING_URI`` or the workspace's own SQLite file."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.mlflow_db}"

    @property
    def journal_uri(self) -> str:
        """SQLAlchemy URL of the journal: ``NBMLOPS_JOURNAL_URI`` or the workspace's own SQLite file."""
        return os.environ.get("NBMLOPS_JOURNAL_URI") or f"sqlite:///{self.journal_db}"

    @property
    def sockets(self) -> Path:
        """A short private folder for Unix sockets (a long project path would not fit in an address)."""
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
        if not base.is_dir():  # it may name a session's folder that is gone
            base = Path(tempfile.gettempdir())
        key = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        folder = base / f"nbmlops-{os.getuid()}-{key}"
        return folder if len(os.fsencode(folder)) < SOCKET_PATH_LIMIT - 40 else Path("/tmp") / folder.name

    def open(self) -> Workspace:
        """Create what is missing and check that the folder can hold a database.

        Raises
        ------
        StorageError
            When the folder is read-only, full, or on a network file system.
        """
        with storage_errors(self.home):
            if any(uri.startswith("sqlite:") for uri in (self.tracking_uri, self.journal_uri)):
                _refuse_network(self.home)
            self.home.mkdir(parents=True, exist_ok=True)
            ignore = self.home / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
            for folder in (self.artifacts, self.bundles, self.cache):
                folder.mkdir(exist_ok=True)
            self.run.mkdir(mode=0o700, exist_ok=True)
            _private(self.sockets)
            _probe(self.home)
        return self


def _probe(folder: Path) -> None:
    """Write a few bytes: a folder that exists tells neither a read-only file system nor a full one."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(bytes(PROBE_BYTES))
        stream.flush()


def _private(folder: Path) -> None:
    """Make `folder` with mode 0700 and refuse one that somebody else made in a shared place."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise StorageError(
            f"{folder} belongs to somebody else or can be read by others",
            expected="a folder of your own with mode 0700",
            hint="Remove it, or set XDG_RUNTIME_DIR to a private folder.",
        )


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's refusals under `place` into errors that say what to do."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        remedies = {
            errno.ENOSPC: "The disk is full: free some space, then run it again.",
            errno.EDQUOT: "Your disk quota is used up: free some space, then run it again.",
            errno.EROFS: "The file system is read-only: set NBMLOPS_WORKSPACE to a folder that can be written.",
            errno.EACCES: "Permission denied: set NBMLOPS_WORKSPACE to a folder that can be written.",
            errno.EPERM: "Permission denied: set NBMLOPS_WORKSPACE to a folder that can be written.",
        }
        if error.errno not in remedies:
            raise
        raise StorageError(f"{place} can't be written", hint=remedies[error.errno]) from error


def file_system(path: Path) -> str:
    """Return the type of the file system that holds `path` (``ext4``, ``nfs4``, …), or ``unknown``."""
    if not sys.platform.startswith("linux"):
        return "unknown"
    best, kind = "", "unknown"
    where = os.fspath(path.resolve())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), left.split()[4])
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # the last of equals is the one mounted on top
            best, kind = point, right.split()[0]
    return kind


def _refuse_network(home: Path) -> None:
    kind = file_system(home)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StorageError(
            f"{home} is on a network file system ({kind}), where SQLite loses writes",
            hint="Set NBMLOPS_WORKSPACE to a folder on a local disk, or move each part to a server with "
            "MLFLOW_TRACKING_URI and NBMLOPS_JOURNAL_URI.",
        )
