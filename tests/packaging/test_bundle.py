from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nbmlops.core.errors import Corrupt, InvalidObject, StorageError
from nbmlops.packaging import build_bundle, bundle, read_bundle, verify
from nbmlops.serving.bundle import read_bundle as read_by_server


def unfinished(workspace) -> list[Path]:
    return [path for path in workspace.bundles.iterdir() if path.name.startswith(".")]


def test_a_bundle_is_named_by_its_digest_and_read_only(make_models, workspace):
    made = build_bundle(make_models(), "flights/1", workspace=workspace)
    assert made.path == workspace.bundles / made.digest.removeprefix("sha256:")
    assert made.runtime == "sklearn"
    assert {path.stat().st_mode & 0o777 for path in made.path.rglob("*") if path.is_file()} == {0o444}
    assert verify(made) == made
    assert unfinished(workspace) == []


def test_the_server_reads_it_and_sees_the_same_digest(make_models, workspace):
    made = build_bundle(make_models(), "flights/1", workspace=workspace)
    assert read_by_server(made.path).digest == made.digest


def test_the_same_content_is_the_same_bundle(make_models, workspace):
    first = build_bundle(make_models(run="1"), "flights/1", workspace=workspace)
    second = build_bundle(make_models(run="2"), "other/7", workspace=workspace)
    assert second == first
    assert len(list(workspace.bundles.iterdir())) == 1


@pytest.mark.parametrize("kind", ["python", "onnx"])
def test_what_mlflow_writes_anew_with_every_save_does_not_count(kind, make_models, workspace):
    first = build_bundle(make_models(kind, run="1"), "flights/1", workspace=workspace)
    assert build_bundle(make_models(kind, run="2"), "flights/2", workspace=workspace) == first


def test_other_content_is_another_bundle(make_models, workspace, onnx):
    models = make_models()
    first = build_bundle(models, "flights/1", workspace=workspace)
    assert build_bundle(models, "flights/1", onnx=onnx, workspace=workspace).digest != first.digest
    (models.folder / "model.pkl").write_bytes(b"another")
    assert build_bundle(models, "flights/1", workspace=workspace).digest != first.digest


def test_a_bundle_can_be_moved(make_models, workspace, tmp_path):
    made = build_bundle(make_models(), "flights/1", workspace=workspace)
    place = tmp_path / "elsewhere" / made.path.name
    shutil.copytree(made.path, place)
    assert verify(place).digest == made.digest


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: (path / "model/model.pkl").unlink(), "model/model.pkl is missing"),
        (lambda path: rewrite(path / "model/model.pkl", b"other"), "model/model.pkl was changed"),
        (lambda path: (path / "model/extra.py").write_text("x"), "model/extra.py does not belong to it"),
        (lambda path: (path / "bundle.json").unlink(), "bundle.json is missing or unreadable"),
        (lambda path: rewrite(path / "bundle.json", b"{"), "bundle.json is missing or unreadable"),
        (lambda path: rewrite(path / "bundle.json", b'{"format":1}'), "bundle.json was changed"),
    ],
)
def test_a_corrupt_bundle_is_named_with_the_way_out(harm, says, make_models, workspace):
    models = make_models()
    made = build_bundle(models, "flights/1", workspace=workspace)
    harm(made.path)
    for look in (lambda: verify(made), lambda: build_bundle(models, "flights/1", workspace=workspace)):
        with pytest.raises(Corrupt) as caught:
            look()
        assert says in str(caught.value)
        assert f"Remove the folder {made.path}" in str(caught.value)


def rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)


def test_pythons_own_caches_do_not_count(make_models, workspace):
    made = build_bundle(make_models(), "flights/1", workspace=workspace)
    cache = made.path / "nbmlops_serving/__pycache__"
    cache.mkdir()
    (cache / "bundle.cpython-311.pyc").write_bytes(b"code")
    assert verify(made) == made


def test_a_format_of_the_future_is_refused(make_models, workspace, monkeypatch):
    made = build_bundle(make_models(), "flights/1", workspace=workspace)
    monkeypatch.setattr(bundle, "FORMAT", 0)
    with pytest.raises(InvalidObject, match="format 1"):
        read_bundle(made.path)


def test_many_builders_at_once_make_one_bundle(make_models, workspace):
    models = make_models()
    start, made = threading.Barrier(8), []

    def build() -> None:
        start.wait()
        made.append(build_bundle(models, "flights/1", workspace=workspace))

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len({one.digest for one in made}) == 1
    assert [path.name for path in workspace.bundles.iterdir()] == [made[0].path.name]


def test_losing_the_race_is_no_error(make_models, workspace, monkeypatch):
    models = make_models()
    place, rename = workspace.root / "first", Path.rename

    def late(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        shutil.copytree(self, place)
        place.rename(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    verify(build_bundle(models, "flights/1", workspace=workspace))
    assert unfinished(workspace) == []


def test_a_failed_build_leaves_nothing(make_models, workspace, monkeypatch):
    def full(source, target):
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="disk is full"):
        build_bundle(make_models(), "flights/1", workspace=workspace)
    assert list(workspace.bundles.iterdir()) == []


def test_a_source_that_changes_under_way_is_noticed(make_models, workspace, monkeypatch):
    models, copy = make_models(), shutil.copyfile

    def changed(source, target):
        (models.folder / "model.pkl").write_bytes(b"changed")
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", changed)
    with pytest.raises(Corrupt, match="changed while it was copied"):
        build_bundle(models, "flights/1", workspace=workspace)
    assert list(workspace.bundles.iterdir()) == []


def test_what_a_killed_builder_left_goes_after_an_hour(make_models, workspace):
    old, young = workspace.bundles / ".building-old", workspace.bundles / ".building-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "half").write_bytes(b"half")
    os.utime(old, (0, 0))
    build_bundle(make_models(), "flights/1", workspace=workspace)
    assert unfinished(workspace) == [young]


def test_a_full_disk_leaves_nothing(run_on_mount, make_models):
    models = make_models()
    (models.folder / "model.pkl").write_bytes(b"large" * 300_000)
    done = run_on_mount(SCRIPT.format(folder=models.folder) + "attempt()\n", size="1m")
    assert done.returncode == 0, done.stderr
    assert "disk is full" in done.stdout


def test_a_read_only_disk_is_named(run_on_mount, make_models):
    remount = 'subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)\n'
    done = run_on_mount(SCRIPT.format(folder=make_models().folder) + remount + "attempt()\n")
    assert done.returncode == 0, done.stderr
    assert "read-only" in done.stdout


SCRIPT = """
import subprocess, sys
from pathlib import Path
from nbmlops.core.errors import StorageError
from nbmlops.core.workspace import Workspace
from nbmlops.packaging import build_bundle

class Models:
    def model_folder(self, ref):
        return Path("{folder}")
    def signature(self, ref):
        return {{"inputs": None}}
    def captured(self, ref):
        return {{}}

workspace = Workspace(Path(sys.argv[1])).open()

def attempt():
    try:
        build_bundle(Models(), "flights/1", workspace=workspace)
    except StorageError as error:
        print(error)
    assert list(workspace.bundles.iterdir()) == []
"""


def test_the_island_in_the_bundle_runs_by_itself(make_models, workspace):
    made = build_bundle(make_models(), "flights/1", workspace=workspace)
    script = (
        "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, '.')\n"
        "from pathlib import Path; import json, nbmlops_serving.bundle as b\n"
        "print(json.dumps([b.__file__, b.read_bundle(Path('.')).digest, 'nbmlops' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=made.path, capture_output=True, text=True, check=True)
    file, digest, imported = json.loads(done.stdout)
    assert Path(file).is_relative_to(made.path)
    assert (digest, imported) == (made.digest, False)
