"""Environments: made from what is here, checked file by file, complete or absent, kept and cleared."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbmlops.core.errors import Refused
from nbmlops.packaging import venv_cache, venv_uv
from nbmlops.packaging.venv import environment_for, interpreter

from .distributions import install

HERE = ".".join(map(str, sys.version_info[:2]))


@dataclass
class Locked:
    path: Path
    manifest: dict[str, Any]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages; there is neither a network nor anything in uv's cache, and no environment yet."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("NBMLOPS_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "site"


@pytest.fixture
def locked(tmp_path: Path) -> Callable[..., Locked]:
    def make(text: str, python: str = HERE) -> Locked:
        (tmp_path / "bundle").mkdir(exist_ok=True)
        (tmp_path / "bundle/requirements.lock").write_text(text)
        facts = {"serving_environment_id": "sha256:" + "e" * 64, "python": python, "files": {}}
        return Locked(tmp_path / "bundle", facts)

    return make


def says(python: Path, code: str) -> str:
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.integration
def test_it_holds_what_the_lock_pins_and_nothing_else_without_network_or_cache(site: Path, locked) -> None:
    install(site, "house", files={"house/__init__.py": "LIMIT = 3\n", "house/rules.py": ""})
    install(site, "garden", files={"garden.py": ""})
    py_compile.compile(str(site / "house/rules.py"))

    made = environment_for(locked("house==1.0\n"))

    assert made.python == interpreter(locked("house==1.0\n"))
    assert dict(made.origins) == {"house": "this kernel's installation"}
    assert says(made.python, "import house; print(house.LIMIT)") == "3"
    assert (
        says(made.python, "import importlib.util as u; print(u.find_spec('garden'), u.find_spec('numpy'))")
        == "None None"
    )
    copied = next(made.folder.rglob("house/rules.py"))
    assert list(copied.parent.glob("__pycache__/rules.*.pyc")), "what Python compiled is not compiled again"
    assert not list((made.folder / "bin").glob("house"))


def test_it_is_made_once_and_again_where_it_is_no_longer_whole(site: Path, locked, monkeypatch) -> None:
    install(site, "house", files={"house.py": ""})
    bundle = locked("house==1.0\n")
    first = environment_for(bundle)
    os.utime(first.folder, (1, 1))
    with monkeypatch.context() as patched:
        patched.setattr(venv_uv, "make", lambda folder: pytest.fail("made again"))
        assert environment_for(bundle) == first
        assert first.folder.stat().st_mtime > 1, "noted that it is used"

    first.python.unlink()
    again = environment_for(bundle)
    assert again.python.exists()
    (again.folder / "nbmlops.json").unlink()
    assert environment_for(bundle) == first


def test_another_lock_wheel_or_interpreter_is_another_environment(site: Path, locked, monkeypatch) -> None:
    bundle = locked("house==1.0\n")
    first = interpreter(bundle)
    bundle.manifest["files"]["wheels/house-1.0-py3-none-any.whl"] = "sha256:1"
    second = interpreter(bundle)
    third = interpreter(locked("house==1.1\n"))
    monkeypatch.setattr(sys, "executable", "/usr/bin/another")
    assert len({first, second, third, interpreter(locked("house==1.1\n"))}) == 4


def test_what_fails_leaves_nothing(site: Path, locked) -> None:
    with pytest.raises(Refused, match=r"absent 2\.0 \(not installed here\) would have to be fetched"):
        environment_for(locked("absent==2.0\n"))
    assert [path.name for path in venv_cache.root().iterdir() if not path.name.endswith(".lock")] == []


def test_compiled_modules_are_shared_with_an_environment_that_holds_the_very_file(site: Path, locked) -> None:
    install(site, "house", files={"house.py": "LIMIT = 3\n"})
    first = environment_for(locked("house==1.0\n"))
    py_compile.compile(str(next(first.folder.rglob("house.py"))))

    second = environment_for(locked("house==1.0\n\n"))
    assert list(second.folder.rglob("house.*.pyc"))

    shutil.copy2(site / "house.py", site / "copy.py")  # the same time and size, another file
    (site / "copy.py").replace(site / "house.py")
    third = environment_for(locked("\nhouse==1.0\n\n"))
    assert not list(third.folder.rglob("house.*.pyc"))


@pytest.mark.parametrize(("change", "told"), [("LIMIT = 4\n", "was changed"), (None, "is gone")])
def test_a_package_that_was_changed_by_hand_is_named(site: Path, locked, change: str | None, told: str) -> None:
    install(site, "house", files={"house.py": "LIMIT = 3\n"})
    (site / "house.py").unlink() if change is None else (site / "house.py").write_text(change)

    with pytest.raises(Refused, match=rf"house\.py of the installed package house==1\.0 {told}"):
        environment_for(locked("house==1.0\n"))


@pytest.mark.parametrize(
    ("installed", "pin", "told"),
    [
        ({"version": "2.0"}, "house==1.0", r"house 1\.0 \(this kernel has 2\.0\)"),
        ({"installer": "conda"}, "house==1.0", r"house 1\.0 \(not copyable\)"),
        ({}, "house @ git+https://127.0.0.1:9/house@abc", r"house \(this kernel has 1\.0\)"),
    ],
)
def test_what_would_have_to_be_fetched_is_named_with_what_is_here(site: Path, locked, installed, pin, told) -> None:
    install(site, "house", **installed)
    install(site, "garden")
    with pytest.raises(Refused, match=told) as caught:
        environment_for(locked(f"garden==1.0\n{pin}\n"))
    assert "garden" not in str(caught.value)
    assert "--fetch" in str(caught.value)


def test_an_index_is_asked_only_where_that_is_allowed(site: Path, locked, monkeypatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(venv_uv, "fetch", lambda pins, python: asked.append([str(pin) for pin in pins]))
    install(site, "house")
    made = environment_for(locked("house==1.0\nabsent==2.0\n"), fetch=True)
    assert asked == [["absent 2.0"]]
    assert dict(made.origins) == {"house": "this kernel's installation", "absent": "the network"}


def test_an_index_that_has_it_not_is_said(site: Path, locked) -> None:
    with pytest.raises(Refused, match=r"absent 2\.0 could not be fetched: .*absent"):
        environment_for(locked("absent==2.0\n"), fetch=True)


def test_an_editable_install_of_which_nothing_was_shipped_is_named(site: Path, locked) -> None:
    with pytest.raises(Refused, match=r"house 1\.0, an editable install of which no module was shipped"):
        environment_for(locked("# house==1.0 is an editable install: no index has it\n"))


def test_another_python_is_refused_before_anything_is_made(site: Path, locked) -> None:
    with pytest.raises(Refused, match=r"captured with Python 3\.99, and this kernel runs Python"):
        environment_for(locked("house==1.0\n", python="3.99"))
    assert not venv_cache.root().exists()


def test_files_are_copied_where_they_can_not_be_linked(site: Path, locked, monkeypatch) -> None:
    def refuse(source: Path, place: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    info = install(site, "house", files={"house.py": "LIMIT = 3\n"})
    made = environment_for(locked("house==1.0\n"))
    copied = next(made.folder.rglob("house.py"))
    assert copied.read_text() == "LIMIT = 3\n"
    assert copied.stat().st_mtime == (info.parent / "house.py").stat().st_mtime
    assert copied.stat().st_ino != (info.parent / "house.py").stat().st_ino


def test_those_that_were_not_used_for_longest_go_and_those_in_use_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NBMLOPS_ENVIRONMENTS", str(tmp_path))
    monkeypatch.setattr(venv_cache, "MOST", 3)
    for age, name in enumerate(("oldest", "old", "new", "newest")):
        (tmp_path / name / "bin").mkdir(parents=True)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    (tmp_path / ".making-1").mkdir()
    os.utime(tmp_path / ".making-1", (1, 1))
    (tmp_path / ".making-2").mkdir()
    python = tmp_path / "oldest/bin/python"
    python.symlink_to(sys.executable)
    process = subprocess.Popen([python, "-I", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with venv_cache.building(tmp_path / "made") as unfinished:
            unfinished.mkdir()
    finally:
        process.communicate(b"\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".making-2", "made", "newest", "oldest"]


def test_the_user_s_cache_holds_them_unless_another_folder_is_named(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NBMLOPS_ENVIRONMENTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert venv_cache.root() == tmp_path / "nbmlops/environments"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert venv_cache.root() == Path("/home/somebody/.cache/nbmlops/environments")


def test_what_it_holds_is_told_on_disk(site: Path, locked) -> None:
    install(site, "house", files={"house.py": "LIMIT = 3\n"})
    folder = environment_for(locked("house==1.0\n")).folder
    facts = json.loads((folder / "nbmlops.json").read_text())
    assert facts["format"] == 1
    assert facts["bytes"] > 0
    shutil.rmtree(folder)
