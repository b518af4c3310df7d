"""The folder of a version: an ordinary MLflow model, laid out without starting an interpreter to guess requirements.

The flavours' own ``save_model`` checks every installed distribution (0.5 s) and serialises twice; the layout is
public (``Model.add_flavor``, ``pyfunc.add_to_model``) and MLflow alone loads what is written here.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.registry import mlflow_door

if TYPE_CHECKING:
    from nbmlops.capture import Captured, LocalModule

FILES, ASSETS, CODE = "files", "assets", "code"
LEAVE_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".nbmlops", ".ipynb_checkpoints", ".venv")
ENVIRONMENT = {"conda_env": "conda.yaml", "python_env": "python_env.yaml"}


@dataclass
class Layout:
    """A model folder that is being written.

    Attributes
    ----------
    folder : pathlib.Path
    model : mlflow.models.Model
        Written last, as ``MLmodel``.
    requirements : list of str
        Exact pins; what a format needs is added.
    code : str or None
        Folder of the shipped modules, where there are any.
    warnings : list of str
    """

    folder: Path
    model: Any
    requirements: list[str]
    code: str | None = None
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, captured: Captured, signature: Any) -> Layout:
        """Start a folder with the project's own modules in it."""
        models = mlflow_door.module("models")
        environment = captured.environment
        code = ship(environment.local_modules, folder / CODE)
        pins = environment.requirements(scope="model").splitlines()  # the whole kernel is in captured.json
        return cls(folder, models.Model(signature=signature), pins, CODE if code else None)

    def need(self, *packages: str) -> None:
        """Add exact pins of packages that loading needs, unless they are pinned already.

        A module that another distribution brought (``xgboost-cpu``) was captured under that one's name.
        """
        pinned = {_name(line) for line in self.requirements}
        for name in packages:
            with suppress(PackageNotFoundError):
                if _name(name) not in pinned:
                    self.requirements.append(f"{name}=={version(name)}")

    def add_pyfunc(self, loader: str, **settings: Any) -> None:
        """Let ``mlflow.pyfunc.load_model`` load it through `loader`."""
        pyfunc = mlflow_door.module("pyfunc")
        pyfunc.add_to_model(self.model, loader_module=loader, code=self.code, **ENVIRONMENT, **settings)

    def add_flavor(self, name: str, **settings: Any) -> None:
        self.model.add_flavor(name, code=self.code, **settings)

    def write_environment(self) -> None:
        """Write what MLflow and pip restore the environment from."""
        self.need("mlflow")
        python = platform.python_version()
        conda = {
            "name": "mlflow-env",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": self.requirements}],
        }
        build = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
        (self.folder / "requirements.txt").write_text("\n".join(self.requirements) + "\n")
        (self.folder / "conda.yaml").write_text(yaml.safe_dump(conda, sort_keys=False))
        (self.folder / "python_env.yaml").write_text(yaml.safe_dump(build, sort_keys=False))

    def finish(self, run_id: str, model_id: str, location: str) -> None:
        """Write ``MLmodel``, which now names its run and its logged model."""
        self.model.run_id, self.model.model_id, self.model.model_uuid = run_id, model_id, model_id
        self.model.artifact_path = location
        self.model.model_size_bytes = sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())
        self.model.save(str(self.folder / "MLmodel"))


def _name(requirement: str) -> str:
    name = requirement.split("@")[0].split(";")[0].split("[")[0]
    for sign in ("==", ">=", "<=", "~=", "!=", ">", "<"):
        name = name.split(sign)[0]
    return name.strip().lower().replace("_", "-").replace(".", "-")


def ship(modules: Iterable[LocalModule], code: Path) -> bool:
    """Copy the project's own modules below `code`, so that a fresh process can import them."""
    shipped = False
    for module in modules:
        *parents, _ = module.name.split(".")
        place = code.joinpath(*parents)
        place.mkdir(parents=True, exist_ok=True)
        copy_in(Path(module.path), place / Path(module.path).name)
        shipped = True
    return shipped


def copy_in(source: Path, target: Path) -> None:
    """Copy a file or a folder to `target`."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=LEAVE_OUT, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def asset_place(path: Path) -> Path:
    """Return where an asset lies among a version's: by its relative path, or by its name where it has none.

    So the path by which the notebook opens it leads to it where the model is served.
    """
    return Path(path.name) if path.is_absolute() or ".." in path.parts else path


def check_assets(assets: Iterable[str | Path]) -> list[Path]:
    """Return the assets' paths, or raise where one is missing or two have the same name."""
    paths = [Path(asset).expanduser() for asset in assets]
    for path in paths:
        if not path.exists():
            raise NotFound(f"there is no asset {str(path)!r}", expected="the path of a file or folder")
    names = [str(asset_place(path)) for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"more than one asset is named {', '.join(twice)}", expected="assets with different names")
    return paths
