"""Every registered file given back, under the name it came with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt
from nbmlops.core.workspace import storage_errors
from nbmlops.registry import kinds, mlflow_door
from nbmlops.registry.integrity import list_files
from nbmlops.registry.layout import ASSETS, FILES


def plan(folder: Path, kind: str) -> dict[str, Path]:
    """Return target name -> stored file."""
    everything = {name: folder / name for name in list_files(folder)}
    if kind == kinds.FILES:
        own = {name.removeprefix(f"{FILES}/"): path for name, path in everything.items() if name.startswith(FILES)}
        return own | {name: path for name, path in everything.items() if name.startswith(f"{ASSETS}/")}
    if kind == kinds.ONNX:
        facts = mlflow_door.module("models").Model.load(str(folder)).flavors["nbmlops"]
        return {_original(name, facts["file"]): path for name, path in everything.items() if _is_users(name)}
    return everything


MLFLOWS = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml")


def _is_users(name: str) -> bool:
    return name not in MLFLOWS


def _original(name: str, file: str) -> str:
    return file if name == "model.onnx" else name


def write(files: Mapping[str, Path], target: Path) -> None:
    """Copy files below `target` and compare each copy's digest.

    Raises
    ------
    Corrupt
        When a copy differs from what is stored.
    """
    with storage_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for name, source in files.items():
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place)
            if digests.of_file(place) != digests.of_file(source):
                raise Corrupt(f"{name} changed while it was copied", hint="Run it again.")
