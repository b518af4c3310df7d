"""Restoring where a version was made, from small captures: packages, modules, cells, and what can't be had."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nbformat
import pytest

from nbmlops.capture import Environment, LocalModule, Package, environment_id
from nbmlops.core.errors import Corrupt, InvalidInput, Refused
from nbmlops.packaging import restoring
from nbmlops.packaging.restoring import Restored, restore
from nbmlops.packaging.venv import VirtualEnvironment

ROOT = Path(__file__).resolve().parents[2]
MINOR = ".".join(platform.python_version_tuple()[:2])
TABULATE = Package("tabulate", version("tabulate"), scope="model")
MISSING = Package("no-such-package", "4.5")
CELLS = [{"id": "", "execution_count": 1, "source": "import scales"}, {"id": "b", "execution_count": 3, "source": "1"}]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with a module that was shipped."""
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "scales.py").write_text("SCALE = 3\n")
    return tmp_path / "model"


def captured(*packages: Package, python: str = MINOR, **facts: Any) -> dict[str, Any]:
    module = LocalModule("scales", Path("/home/me/project/scales.py"), "sha256:0")
    id = environment_id(python, packages)
    return {"environment": Environment(id, python, f"{python}.0", packages, (module,)).to_dict(), **facts}


def runs(restored: Restored, code: str) -> str:
    done = subprocess.run([restored.python, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.strip()


@pytest.mark.integration
def test_packages_modules_and_cells_are_there_and_may_be_moved(model: Path, tmp_path: Path) -> None:
    own = Package("nbmlops", "0.1.0", "editable", ROOT.as_uri())
    given = captured(TABULATE, own, notebook={"cells": CELLS})

    made = restore("flights/3", given, model, folder=tmp_path / "a" / "b")

    made.folder.rename(tmp_path / "moved")
    moved = Restored(**{**vars(made), "folder": tmp_path / "moved"})
    seen = runs(moved, "import scales, tabulate, nbmlops; print(scales.SCALE, tabulate.__version__, nbmlops.__file__)")
    assert seen.split()[:2] == ["3", TABULATE.version]
    assert not seen.split()[2].startswith(str(ROOT))
    notebook = nbformat.read(moved.folder / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells] == ["import scales", "1"]
    lock = (moved.folder / "requirements.lock").read_text()
    assert lock.splitlines() == [f"tabulate=={TABULATE.version}", "./wheels/nbmlops-0.1.0-py3-none-any.whl"]
    assert (made.packages, made.modules, made.cells, made.left_out) == (2, ("scales",), 2, ())
    assert f"source '{made.folder}/.venv/bin/activate'" in made._show_().text
    assert made.register == "", "ipykernel was not among the packages"


def test_it_says_how_to_become_a_kernel(tmp_path: Path) -> None:
    made = Restored("flights/3", tmp_path, "sha256:0", 1, {}, left_out=(), modules=(), cells=0, kernel=True)
    assert made.register.endswith("-m ipykernel install --user --name 'flights-3' --display-name 'flights/3'")
    assert made.register in made._show_().text


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_already_is_left_alone(model: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "mine"
    if kind == "file":
        target.write_text("my work")
    else:
        target.mkdir()
        (target / "work.txt").write_text("my work")
    with pytest.raises(InvalidInput, match="is not empty"):
        restore("flights/3", captured(TABULATE), model, folder=target)
    assert (target if kind == "file" else target / "work.txt").read_text() == "my work"


@pytest.mark.integration
@pytest.mark.parametrize("there", [True, False])
def test_a_package_that_can_not_be_had_is_named_and_nothing_is_left(model: Path, tmp_path: Path, there: bool) -> None:
    target = tmp_path / "a" / "b"
    if there:
        target.mkdir(parents=True)
    with pytest.raises(Refused, match=r"no-such-package 4\.5 \(not installed here\)"):
        restore("flights/3", captured(TABULATE, MISSING), model, folder=target)
    assert target.exists() == (tmp_path / "a").exists() == there
    assert not there or not any(target.iterdir())


def test_another_python_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=rf"captured with Python 2\.7, and this kernel runs Python {MINOR}"):
        restore("flights/3", captured(TABULATE, python="2.7"), model, folder=tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.integration
def test_an_editable_install_of_the_kernel_is_left_out_and_said(model: Path, tmp_path: Path) -> None:
    plots = Package("plots", "1.0", "editable", "file:///home/me/plots")
    made = restore("flights/3", captured(TABULATE, plots), model, folder=tmp_path / "a")
    assert (made.left_out, made.packages) == (("plots 1.0",), 1)
    assert "plots 1.0" in made._show_().text


def test_an_editable_install_that_the_model_needs_is_asked_for(model: Path, tmp_path: Path) -> None:
    needed = Package("plots", "1.0", "editable", "file:///home/me/plots", scope="model")
    with pytest.raises(Refused, match=r"plots 1\.0, an editable install of which no module was shipped"):
        restore("flights/3", captured(TABULATE, needed), model, folder=tmp_path / "a")


def test_what_was_installed_is_compared_with_what_was_captured(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty(locked: Any, folder: Path, *, fetch: bool) -> VirtualEnvironment:
        folder.mkdir()
        return VirtualEnvironment(folder, {})

    monkeypatch.setattr(restoring, "make_environment", empty)
    with pytest.raises(Corrupt, match=rf"tabulate is missing instead of {TABULATE.version}"):
        restore("flights/3", captured(TABULATE), model, folder=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_version_without_a_capture_says_so(model: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no environment was captured of flights/3"):
        restore("flights/3", json.loads("{}"), model, folder=tmp_path / "a")
