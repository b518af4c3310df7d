"""Wheels of what no index has: packed from what is installed or was shipped, the same bytes each time."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from nbmlops.capture import Package
from nbmlops.capture.distributions import installed
from nbmlops.packaging import venv_uv
from nbmlops.packaging.contents import plan
from nbmlops.packaging.pins import read_lock
from nbmlops.packaging.wheels import Wheel, wheels_of

from .distributions import install

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VCS = {"url": "https://host/house", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
FILES = {"house/__init__.py": "LIMIT = 3\n", "house/a, b.txt": "words\n"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def package() -> Package:
    found = installed().by_name["house"]
    return Package(found.name, found.version, *found.origin)


def names(wheel: Wheel) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        return archive.namelist()


@pytest.mark.parametrize(
    "direct_url",
    [VCS, {"url": "file:///tmp/house.whl", "archive_info": {}}, {"url": "file:///tmp/house", "dir_info": {}}],
)
def test_an_install_from_elsewhere_is_packed_from_its_files(site: Path, tmp_path: Path, direct_url) -> None:
    install(site, "house", files=FILES | {"house/__pycache__/x.pyc": "cache"}, direct_url=direct_url)

    (wheel,) = wheels_of([package()], tmp_path, {})

    assert (wheel.package, wheel.place) == ("house", "wheels/house-1.0-py2.py3-none-any.whl")
    info = "house-1.0.dist-info"
    assert names(wheel) == sorted([*FILES, *(f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL"))])
    assert wheels_of([package()], tmp_path, {}) == (wheel,), "the same files give the same bytes"


@pytest.mark.integration
def test_an_installer_takes_it_and_it_is_what_was_installed(site: Path, tmp_path: Path) -> None:
    install(site, "house", files=FILES, direct_url=VCS)
    (wheel,) = wheels_of([package()], tmp_path, {})
    (tmp_path / "wheels").mkdir()
    (tmp_path / wheel.place).write_bytes(wheel.content)
    venv_uv.make(tmp_path / "fresh")
    python = tmp_path / "fresh/bin/python"

    assert venv_uv.install(read_lock(f"./{wheel.place}"), python, beside=tmp_path) == []

    code = (
        "import house, importlib.metadata as m; print(house.LIMIT, m.version('house'), m.metadata('house')['Summary'])"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3 1.0 what it is\n"


def test_what_was_replaced_since_is_not_packed(site: Path, tmp_path: Path) -> None:
    install(site, "house", files=FILES, direct_url=VCS)
    captured = package()
    for other in ({"version": "1.1"}, {"commit": "f" * 40}, {"url": "git+https://elsewhere/house"}):
        changed = Package(**{**captured.to_dict(), **other})
        assert wheels_of([changed], tmp_path, {}) == (), other


def test_an_editable_install_is_packed_from_the_modules_that_were_shipped(site: Path, tmp_path: Path) -> None:
    project = tmp_path / "my house"
    url = project.as_uri()
    install(site, "house", direct_url={"url": url, "dir_info": {"editable": True}})
    (tmp_path / "code/house").mkdir(parents=True)
    (tmp_path / "code/house/__init__.py").write_text("LIMIT = 4\n")
    (tmp_path / "code/other.py").write_text("")
    captured = {
        "local_modules": [
            {"name": "house", "path": str(project / "src/house"), "digest": ""},
            {"name": "other", "path": str(tmp_path / "other.py"), "digest": ""},
        ]
    }

    (wheel,) = wheels_of([package()], tmp_path / "code", captured)

    assert [name for name in names(wheel) if name.endswith(".py")] == ["house/__init__.py"]
    assert wheels_of([package()], tmp_path / "code", {}) == (), "nothing of it was shipped"


def test_a_bundle_carries_them_and_its_lock_names_them(make_models, site: Path) -> None:
    install(site, "house", "0.1", files=FILES, direct_url=VCS)
    models = make_models("sklearn")
    facts = package()
    models.captured_["environment"]["packages"][1].update(url=facts.url, commit=facts.commit)

    contents = plan(models.folder, models.signature_, models.captured_)

    place = "wheels/house-0.1-py2.py3-none-any.whl"
    assert place in contents.manifest["files"], "with its digest"
    assert f"./{place}" in contents.sources["requirements.lock"].decode().splitlines()
    assert contents.manifest["python"] == "3.11"
    assert sys.version_info >= (3, 11)
