from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nbmlops.capture import capture_git, git


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    run(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "a.txt").write_text("one\n")
    run(folder, "add", "a.txt")
    run(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_a_clean_repository(repository: Path) -> None:
    run(repository, "remote", "add", "upstream", "https://example.org/b.git")
    run(repository, "remote", "add", "origin", "https://ada:secret@example.org/a.git")
    (repository / "below").mkdir()
    found = capture_git(repository / "below")
    assert found == git.GitState(
        True, "", "https://example.org/a.git", "main", run(repository, "rev-parse", "HEAD"), dirty=False
    )


def test_a_change_is_in_the_diff_and_an_untracked_file_is_named(repository: Path) -> None:
    (repository / "a.txt").write_text("two\n")
    (repository / "né w.py").write_text("x = 1\n")
    found = capture_git(repository)
    assert found.dirty is True
    assert "-one\n+two\n" in found.diff
    assert found.untracked == ("né w.py",)
    assert found.reason == ""


def test_a_staged_change_and_a_renamed_file_are_dirty(repository: Path) -> None:
    run(repository, "mv", "a.txt", "b.txt")
    found = capture_git(repository)
    assert found.dirty is True
    assert "rename to b.txt" in found.diff
    assert found.untracked == ()


def test_a_detached_head_has_a_commit_and_no_branch(repository: Path) -> None:
    run(repository, "checkout", "--quiet", "--detach")
    found = capture_git(repository)
    assert (found.branch, found.commit) == ("", run(repository, "rev-parse", "HEAD"))


def test_a_repository_without_a_commit_says_so(tmp_path: Path) -> None:
    run(tmp_path, "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "a.txt").write_text("one\n")
    run(tmp_path, "add", "a.txt")
    found = capture_git(tmp_path)
    assert found.available
    assert (found.branch, found.commit, found.dirty, found.diff) == ("main", "", True, "")
    assert found.reason == "the repository has no commit yet"


def test_a_large_diff_is_cut_and_says_so(repository: Path) -> None:
    (repository / "a.txt").write_text("line\n" * 200_000)
    found = capture_git(repository)
    assert found.reason == "the diff is cut at 256 KiB"
    assert found.diff.endswith("\n[cut at 256 KiB]\n")
    assert len(found.diff) < git.DIFF_LIMIT + 100


def test_outside_of_a_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = capture_git(tmp_path)
    assert not found.available
    assert found.dirty is None
    assert found.reason == f"{tmp_path} is not in a git repository"


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert capture_git(tmp_path) == git.GitState(False, "git is not installed")


def test_it_does_not_wait_for_a_git_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 5\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(git, "_PATIENCE", 0.1)
    found = capture_git(tmp_path)
    assert not found.available
    assert found.reason.startswith("git took more than")


def test_the_environment_of_a_hook_does_not_lead_it_astray(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "--quiet", "--initial-branch", "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert capture_git(repository).branch == "main"


def test_programs_that_a_repository_names_in_its_configuration_do_not_run(repository: Path) -> None:
    mark = repository.parent / "ran"
    script = repository.parent / "script"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    (repository / ".gitattributes").write_text("*.txt diff=own\n")
    (repository / "a.txt").write_text("two\n")
    for key in ("diff.external", "core.fsmonitor", "diff.own.command", "diff.own.textconv", "core.pager"):
        run(repository, "config", key, str(script))
    assert "+two" in capture_git(repository).diff
    assert not mark.exists()
