from __future__ import annotations

from pathlib import Path

import pytest

from nbmlops.serving.assets import enter


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "assets" / "data").mkdir(parents=True)
    (folder / "assets" / "data" / "lookup.csv").write_text("UA,3")
    (folder / "assets" / "labels.txt").write_text("late")
    return folder


@pytest.mark.parametrize("beside", [False, True])
def test_assets_are_found_by_their_relative_paths(bundle: Path, tmp_path: Path, beside: bool) -> None:
    enter(bundle, tmp_path if beside else None)
    assert Path("data/lookup.csv").read_text() == "UA,3"
    assert Path("labels.txt").read_text() == "late"


def test_what_the_model_writes_is_not_written_into_the_bundle(bundle: Path, tmp_path: Path) -> None:
    enter(bundle, tmp_path)
    enter(bundle, tmp_path)  # as a second worker would
    Path("data/cache.txt").write_text("written")
    assert sorted(path.name for path in bundle.rglob("*.*")) == ["labels.txt", "lookup.csv"]


def test_without_assets_the_folder_stays(tmp_path: Path) -> None:
    here = Path.cwd()
    enter(tmp_path, tmp_path)
    assert Path.cwd() == here
