"""Where things live, and what is said when they can't."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nbmlops.core import workspace as module
from nbmlops.core.errors import StorageError
from nbmlops.core.workspace import Workspace, file_system, storage_errors

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PRELUDE = """
import subprocess, sys
from pathlib import Path
from nbmlops.core.errors import StorageError
from nbmlops.core.workspace import Workspace
workspace = Workspace(Path(sys.argv[1]))
def refused():
    try:
        workspace.open()
    except StorageError as error:
        print(error)
        return True
    return False
def remount(options):
    subprocess.run(["mount", "-o", f"remount,{options}", sys.argv[1]], check=True)
"""


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NBMLOPS_WORKSPACE")


@pytest.mark.parametrize("marker", [".nbmlops", ".git", "pyproject.toml"])
def test_the_nearest_folder_up_with_a_marker_is_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str
) -> None:
    deep = tmp_path / "project/notebooks/late"
    deep.mkdir(parents=True)
    (tmp_path / "project" / marker).mkdir()
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(deep)
    assert Workspace.find() == Workspace.find(deep) == Workspace(tmp_path / "project")


def test_without_a_marker_the_folder_itself_is_the_root_and_nothing_is_made(tmp_path: Path) -> None:
    assert Workspace.find(tmp_path).root == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_the_variable_names_the_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("NBMLOPS_WORKSPACE", str(tmp_path / "elsewhere"))
    assert Workspace.find().root == tmp_path / "elsewhere"
    assert Workspace.find(tmp_path).root == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NBMLOPS_WORKSPACE", "~/models")
    assert Workspace.find().root == tmp_path / "models"


def test_opening_makes_a_workspace_that_git_ignores_and_others_cannot_read(tmp_path: Path) -> None:
    opened = Workspace(tmp_path).open()
    assert (opened.home / ".gitignore").read_text() == "*\n"
    assert {path.name for path in opened.home.iterdir()} == {".gitignore", "artifacts", "bundles", "cache", "run"}
    assert [folder.stat().st_mode & 0o777 for folder in (opened.run, opened.sockets)] == [0o700, 0o700]
    assert opened.open() == opened


def test_opening_keeps_what_is_there(tmp_path: Path) -> None:
    opened = Workspace(tmp_path).open()
    (opened.home / ".gitignore").write_text("mine")
    opened.open()
    assert (opened.home / ".gitignore").read_text() == "mine"


def test_addresses_lie_inside_unless_a_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.tracking_uri == f"sqlite:///{tmp_path}/.nbmlops/mlflow.db"
    assert workspace.journal_uri == f"sqlite:///{tmp_path}/.nbmlops/journal.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    monkeypatch.setenv("NBMLOPS_JOURNAL_URI", "postgresql://journal")
    assert (workspace.tracking_uri, workspace.journal_uri) == ("http://tracking", "postgresql://journal")


def test_sockets_fit_into_an_address_whatever_the_project_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = Workspace(tmp_path / ("x" * 200))
    assert len(os.fsencode(long.sockets)) < module.SOCKET_PATH_LIMIT
    assert long.sockets != Workspace(tmp_path / ("x" * 201)).sockets
    runtime = tmp_path / ("r" * 100)
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert long.sockets.parent == Path("/tmp")


def test_a_runtime_folder_that_is_gone_is_left_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/nbmlops-gone")
    assert Workspace(tmp_path).sockets.parent == Path(tempfile.gettempdir())


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_socket_folder_that_others_can_enter_is_refused(tmp_path: Path, mode: int) -> None:
    workspace = Workspace(tmp_path)
    workspace.sockets.mkdir(parents=True)
    workspace.sockets.chmod(mode)
    with pytest.raises(StorageError, match=r"can be read by others.*mode 0700"):
        workspace.open()


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path).open()
    monkeypatch.setattr(module.os, "getuid", lambda: 424242)
    folder = workspace.sockets  # named after the user, so that two never meet unless one means to
    folder.mkdir(mode=0o700)
    with pytest.raises(StorageError, match="belongs to somebody else"):
        module._private(folder)


def test_a_read_only_file_system_is_named(run_on_mount: Run) -> None:
    done = run_on_mount(
        PRELUDE + "workspace.open()\nremount('ro')\nassert refused()\nremount('rw')\nworkspace.open()\n"
    )
    assert done.returncode == 0, done.stderr
    assert "file system is read-only: set NBMLOPS_WORKSPACE to a folder that can be written." in done.stdout


def test_nothing_is_made_on_a_read_only_file_system(run_on_mount: Run) -> None:
    done = run_on_mount(PRELUDE + "remount('ro')\nassert refused()\nassert not workspace.home.exists()\n")
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_named(run_on_mount: Run) -> None:
    fill = """
workspace.open()
with open(workspace.root / "ballast", "wb", buffering=0) as stream:
    try:
        while stream.write(bytes(4096)):
            pass
    except OSError:
        pass
assert refused()
(workspace.root / "ballast").unlink()
workspace.open()
"""
    done = run_on_mount(PRELUDE + fill, size="1m")
    assert done.returncode == 0, done.stderr
    assert "The disk is full: free some space, then run it again." in done.stdout


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(module, "file_system", lambda path: kind)
    with pytest.raises(StorageError, match=rf"network file system \({kind}\).*Set NBMLOPS_WORKSPACE") as caught:
        Workspace(tmp_path).open()
    assert "NBMLOPS_JOURNAL_URI" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("NBMLOPS_JOURNAL_URI", "postgresql://journal")
    with pytest.raises(StorageError):
        Workspace(tmp_path).open()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    assert Workspace(tmp_path).open().home.is_dir()


MOUNTS = r"""22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /home rw - nfs4 server:/home rw
31 22 0:31 / /home/ann/local\040disk rw - ext4 /dev/vdb rw
32 22 0:32 / /données rw - cifs //server/share rw
33 22 0:33 / /mnt rw - ext4 /dev/vdc rw
34 22 0:34 / /mnt rw - tmpfs none rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/project", "ext4"),
        ("/home/ann/project", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/ann/local disk/project", "ext4"),
        ("/données/project", "cifs"),
        ("/mnt/project", "tmpfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(
    monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: MOUNTS)
    assert file_system(Path(path)) == kind


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "Permission denied"),
        (errno.EPERM, "Permission denied"),
    ],
)
def test_the_system_s_refusals_say_what_to_do(tmp_path: Path, number: int, remedy: str) -> None:
    with pytest.raises(StorageError, match=f"{tmp_path.name} can't be written.*{remedy}"), storage_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), storage_errors(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "reset")
    error = StorageError("already told")
    with pytest.raises(StorageError) as caught, storage_errors(tmp_path):
        raise error
    assert caught.value is error
