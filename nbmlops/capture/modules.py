"""The project's own modules: found, followed through their imports, and digested, so that they can be shipped."""

from __future__ import annotations

import ast
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from nbmlops.capture.distributions import installed, location
from nbmlops.core import digests
from nbmlops.core.records import Record

# Never the user's code, although they may lie outside the folders that installers write to.
_NOT_THE_PROJECTS = frozenset({"__main__", "__mp_main__", "nbmlops", "sitecustomize", "usercustomize"})
LARGE_FILE = 4 * 1024 * 1024


@dataclass(frozen=True)
class LocalModule(Record):
    """A module or package of the project itself, which no installer can bring.

    Attributes
    ----------
    name : str
        Its top-level name.
    path : pathlib.Path
        The file, or the folder of a package.
    digest : str
        ``sha256:…`` of the file; of a package, over the paths and contents of its files. Caches and hidden files
        do not count, and a file above 4 MiB counts by its size.
    """

    name: str
    path: Path
    digest: str


@dataclass(frozen=True)
class LocalCode:
    """The project's modules behind some modules, and every module that those import.

    Attributes
    ----------
    modules : tuple of LocalModule
        Sorted by name.
    imports : frozenset of str
        Dotted names of all that they import, their own names included.
    """

    modules: tuple[LocalModule, ...]
    imports: frozenset[str]


def local_code(modules: Iterable[str]) -> LocalCode:
    """Return the project's own modules among `modules`, and among all that these import in turn."""
    foreign = _foreign()
    pending = {name.partition(".")[0] for name in modules}
    imports: set[str] = set()
    found: dict[str, Path] = {}
    while pending:
        top = pending.pop()
        path = _local(top, foreign)
        if path is None or top in found:
            continue
        found[top] = path
        for module in _loaded(top):
            imports |= _imports(module)
        pending |= {name.partition(".")[0] for name in imports} - found.keys()
    records = (LocalModule(name, path, _digest(path)) for name, path in sorted(found.items()))
    return LocalCode(tuple(records), frozenset(imports))


def loaded_below(root: Path) -> set[str]:
    """Return the top-level names of the project's loaded modules that lie below `root`."""
    foreign, root = _foreign(), root.resolve()
    names = {name.partition(".")[0] for name in list(sys.modules)}
    return {name for name in names if (path := _local(name, foreign)) is not None and path.is_relative_to(root)}


def _local(top: str, foreign: frozenset[Path]) -> Path | None:
    """Return where a top-level module of the project lies, or None for all others."""
    module = sys.modules.get(top)
    if module is None or top in _NOT_THE_PROJECTS or top in sys.stdlib_module_names:
        return None
    found = location(module)
    if found is None or not found.exists():
        return None
    path = found.resolve()
    return None if foreign.intersection(path.parents) else path


def _foreign() -> frozenset[Path]:
    return installed().folders | _standard_library()


@lru_cache(maxsize=1)
def _standard_library() -> frozenset[Path]:
    folders = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")}
    return frozenset(Path(folder).resolve() for folder in folders if folder)


def _loaded(top: str) -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and (name == top or name.startswith(top + ".")):
            yield module


def _imports(module: ModuleType) -> frozenset[str]:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return frozenset()
    try:
        return _imports_of(file, Path(file).stat().st_mtime_ns)
    except (OSError, SyntaxError, ValueError):  # deleted, or edited into something unfinished, since it was imported
        return frozenset()


@lru_cache(maxsize=512)
def _imports_of(file: str, modified: int) -> frozenset[str]:
    """Return the modules that a source file imports; `modified` makes the cache forget an edited file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(Path(file).read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    return frozenset(names)


def _digest(path: Path) -> str:
    if path.is_file():
        return digests.of_file(path)
    return digests.of_tree({file.relative_to(path).as_posix(): _content(file) for file in _files(path)})


def _content(file: Path) -> str:
    size = file.stat().st_size
    return digests.of_file(file) if size <= LARGE_FILE else f"size:{size}"


def _files(folder: Path) -> Iterator[Path]:
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.startswith("."))
        yield from (
            Path(current, name) for name in sorted(names) if not name.startswith(".") and _regular(current, name)
        )


def _regular(folder: str, name: str) -> bool:
    return not name.endswith((".pyc", ".pyo")) and Path(folder, name).is_file()
