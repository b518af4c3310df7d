"""The state of the git repository: which commit, on which branch, and what differs from it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from nbmlops.capture.urls import without_credentials
from nbmlops.core.records import Record

DIFF_LIMIT = 256 * 1024  # bytes: a notebook with pictures in it makes diffs of many megabytes
MOST_UNTRACKED = 100
_PATIENCE = 5.0  # seconds

# Nothing in a repository's own configuration may start a program or wait for an answer.
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "core.pager=cat")
_INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_EXTERNAL_DIFF", "GIT_CONFIG")


@dataclass(frozen=True)
class GitState(Record):
    """The repository's state when it was captured.

    Attributes
    ----------
    available : bool
        Whether there is a repository that could be read.
    reason : str
        Why not, or what is missing (no commit yet, a cut diff); empty where all is known.
    repository : str
        URL of the remote ``origin`` (else the first remote), without credentials; empty where there is none.
    branch : str
        Empty on a detached head.
    commit : str
        Full hash; empty in a repository without a commit.
    dirty : bool or None
        Whether a tracked file differs from the commit or a file is untracked; None where it is unknown.
    diff : str
        Difference of the tracked files to the commit, at most 256 KiB; its last line says so where it was cut.
    untracked : tuple of str
        Files that git neither tracks nor ignores (at most 100): they are in no commit and not in `diff`.
    """

    available: bool
    reason: str = ""
    repository: str = ""
    branch: str = ""
    commit: str = ""
    dirty: bool | None = None
    diff: str = ""
    untracked: tuple[str, ...] = ()


class _Unreadable(Exception):
    """Git is missing, refused or took too long; the message is the reason."""


def capture_git(root: Path | str) -> GitState:
    """Return the state of the repository that holds `root`; never raises, never asks, never waits for long.

    Parameters
    ----------
    root : path
        A folder inside the repository.
    """
    try:
        status = _git(root, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal")
        facts, changed, untracked = _parse(status)
        known = bool(facts["commit"])
        diff = _diff(root) if changed and known else ""
        remote = _remote(root)
    except _Unreadable as unreadable:
        return GitState(False, str(unreadable))
    notes = [] if known else ["the repository has no commit yet"]
    if len(diff) > DIFF_LIMIT:
        notes.append(f"the diff is cut at {DIFF_LIMIT // 1024} KiB")
        diff = diff[:DIFF_LIMIT] + f"\n[cut at {DIFF_LIMIT // 1024} KiB]\n"
    dirty = changed or bool(untracked)
    return GitState(True, "; ".join(notes), remote, facts["branch"], facts["commit"], dirty, diff, untracked)


def _parse(status: str) -> tuple[dict[str, str], bool, tuple[str, ...]]:
    """Read ``status --porcelain=v2 --branch -z``: branch and commit, whether tracked files differ, untracked ones."""
    facts = {"branch": "", "commit": ""}
    changed, untracked = False, []
    for entry in status.split("\0"):
        kind, _, rest = entry.partition(" ")
        if entry.startswith("# branch.oid "):
            facts["commit"] = "" if entry.endswith("(initial)") else entry[13:]
        elif entry.startswith("# branch.head "):
            facts["branch"] = "" if entry.endswith("(detached)") else entry[14:]
        elif kind == "?":
            untracked.append(rest)
        elif kind in {"1", "2", "u"}:
            changed = True
    return facts, changed, tuple(untracked[:MOST_UNTRACKED])


def _remote(root: Path | str) -> str:
    names = _git(root, "remote").split()
    if not names:
        return ""
    name = "origin" if "origin" in names else names[0]
    # get-url applies insteadOf, which may add credentials: they are stripped like any others
    return without_credentials(_git(root, "remote", "get-url", name).strip())


def _diff(root: Path | str) -> str:
    return _git(root, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", limit=DIFF_LIMIT + 1)


def _git(root: Path | str, *arguments: str, limit: int = 8 * 1024 * 1024) -> str:
    """Return what one git command prints, at most `limit` bytes of it."""
    environment = {name: value for name, value in os.environ.items() if name not in _INHERITED}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
    command = ["git", *_SAFE, "-C", os.fspath(root), *arguments]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    except FileNotFoundError:
        raise _Unreadable("git is not installed") from None
    timer = threading.Timer(_PATIENCE, process.kill)
    timer.start()
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        content = process.stdout.read(limit)
        cut = len(content) == limit
        if cut:
            process.kill()
        complaint = process.stderr.read(4096).decode("utf-8", "replace").strip()
    timer.cancel()
    if process.returncode == -signal.SIGKILL and not cut:
        raise _Unreadable(f"git took more than {_PATIENCE:.0f} seconds")
    if process.returncode and not cut:
        raise _Unreadable(_reason(complaint, root))
    return content.decode("utf-8", "replace")


def _reason(complaint: str, root: Path | str) -> str:
    if "not a git repository" in complaint:
        return f"{os.fspath(root)} is not in a git repository"
    lines = complaint.splitlines() or ["git failed without a word"]
    return lines[0].removeprefix("fatal: ")
