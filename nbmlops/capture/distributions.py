"""What is installed: a map from modules to distributions, read from their records in milliseconds.

``importlib.metadata.packages_distributions`` parses every file of every distribution into objects (0.25 s for 200
distributions). Here each ``RECORD`` is read once for its top-level names, a ``METADATA`` only when it is asked for, and
both are kept for as long as the folders on ``sys.path`` stay as they are.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

from nbmlops.capture.urls import without_credentials

_EXTENSION = (".py", ".pyd", ".so")


@dataclass(frozen=True)
class Distribution:
    """An installed distribution, known by its ``.dist-info`` (or ``.egg-info``) folder.

    Attributes
    ----------
    folder : pathlib.Path
        Where its metadata lies.
    """

    folder: Path
    _required: dict[frozenset[str], tuple[tuple[str, frozenset[str]], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def _headers(self) -> list[str]:
        candidates = (self.folder / "METADATA", self.folder / "PKG-INFO", self.folder)
        text = next((path.read_text("utf-8", "replace") for path in candidates if path.is_file()), "")
        return text.partition("\n\n")[0].splitlines()

    def _header(self, key: str) -> str:
        start = key + ": "
        return next((line[len(start) :].strip() for line in self._headers if line.startswith(start)), "")

    @property
    def name(self) -> str:
        return self._header("Name") or _stem(self.folder)[0]

    @property
    def version(self) -> str:
        return self._header("Version") or _stem(self.folder)[1]

    def requires(self, extras: frozenset[str] = frozenset()) -> tuple[tuple[str, frozenset[str]], ...]:
        """Return the canonical name and the extras of each distribution that this one needs here."""
        if extras not in self._required:
            self._required[extras] = tuple(self._parsed(extras))
        return self._required[extras]

    def _parsed(self, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
        from packaging.requirements import InvalidRequirement, Requirement

        for line in self._headers:
            # Most lines belong to extras; not parsing them saves two thirds of the time
            if not line.startswith("Requires-Dist: ") or (not extras and "extra ==" in line):
                continue
            try:
                requirement = Requirement(line[15:])
            except InvalidRequirement:  # an old distribution with a specifier that no installer takes either
                continue
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or ("",)):
                yield canonical(requirement.name), frozenset(requirement.extras)

    @cached_property
    def direct_url(self) -> dict[str, object]:
        """What PEP 610 says about a distribution that came from no index; empty for all others."""
        path = self.folder / "direct_url.json"
        if not path.is_file() or self._installer == "conda":  # conda leaves the address of its build machine
            return {}
        try:
            content = json.loads(path.read_text("utf-8"))
        except ValueError:  # a broken record says no more than a missing one
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def _installer(self) -> str:
        path = self.folder / "INSTALLER"
        return path.read_text("utf-8").strip() if path.is_file() else ""

    @property
    def origin(self) -> tuple[str, str, str]:
        """How it was installed (``index``, ``editable``, ``vcs``, ``file``), its URL and its commit."""
        found = self.direct_url
        url = without_credentials(str(found.get("url", "")))
        vcs, folder = found.get("vcs_info"), found.get("dir_info")
        if isinstance(vcs, dict):
            return "vcs", f"{vcs.get('vcs', 'git')}+{url}", str(vcs.get("commit_id", ""))
        if isinstance(folder, dict) and folder.get("editable"):
            return "editable", url, ""
        if self.folder.suffix == ".egg-info" and self.folder.parent not in site_folders():
            return "editable", self.folder.parent.as_uri(), ""  # setup.py develop
        return ("file", url, "") if found else ("index", "", "")

    def files(self) -> Iterator[str]:
        """Yield the installed files' paths, relative to the folder that holds the metadata's."""
        record = self.folder / "RECORD"
        if record.is_file():
            for line in record.read_text("utf-8", "replace").splitlines():
                yield line.partition(",")[0]


@dataclass(frozen=True)
class Index:
    """Every distribution that this process can import.

    Attributes
    ----------
    by_name : dict of str to Distribution
        Canonical name -> distribution; the first on ``sys.path`` wins, as it does for imports.
    by_module : dict of str to list of Distribution
        Top-level module -> its owners; a namespace package has several.
    """

    by_name: dict[str, Distribution]
    by_module: dict[str, list[Distribution]] = field(repr=False)

    @cached_property
    def folders(self) -> frozenset[Path]:
        """The folders that installers write to: what lies in them is not the user's own code."""
        wheels = {one.folder.parent for one in self.by_name.values() if one.folder.suffix == ".dist-info"}
        return site_folders() | {folder.resolve() for folder in wheels}

    def owners(self, modules: Iterable[str]) -> set[str]:
        """Return the canonical names of the distributions that hold `modules` (dotted names)."""
        found: set[str] = set()
        for module in modules:
            candidates = self.by_module.get(module.partition(".")[0], [])
            if len(candidates) > 1:
                candidates = [one for one in candidates if _holds(one, module)]
            found.update(canonical(_stem(one.folder)[0]) for one in candidates)
        return found

    def editables(self, paths: Iterable[Path]) -> set[str]:
        """Return the canonical names of the editable installs whose project holds one of `paths`."""
        folders = {name: _path(one.origin[1]) for name, one in self.by_name.items() if one.origin[0] == "editable"}
        places = [path.resolve() for path in paths]
        return {name for name, folder in folders.items() if any(place.is_relative_to(folder) for place in places)}

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return `names` and, transitively, everything installed that they require in this environment."""
        found: set[tuple[str, frozenset[str]]] = set()
        pending = [(name, frozenset[str]()) for name in names]
        while pending:
            item = pending.pop()
            if item not in found and item[0] in self.by_name:
                found.add(item)
                pending.extend(self.by_name[item[0]].requires(item[1]))
        return {name for name, _ in found}


def canonical(name: str) -> str:
    """Return a distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> Index:
    """Return the index of what is installed, read again only when a folder on ``sys.path`` has changed."""
    folders = []
    for entry in dict.fromkeys(sys.path):
        path = Path(entry or ".")
        if path.is_dir():
            folders.append((str(path), path.stat().st_mtime_ns))
    return _read(tuple(folders))


@lru_cache(maxsize=1)
def _read(folders: tuple[tuple[str, int], ...]) -> Index:
    index = Index({}, {})
    for entry, _ in folders:
        for folder in sorted([*Path(entry).glob("*.dist-info"), *Path(entry).glob("*.egg-info")]):
            name = canonical(_stem(folder)[0])
            if name in index.by_name:
                continue
            distribution = index.by_name[name] = Distribution(folder)
            for module in _top_level(folder):
                index.by_module.setdefault(module, []).append(distribution)
    return index


def _top_level(folder: Path) -> set[str]:
    """Return the top-level modules of a distribution, from its record, else from ``top_level.txt``."""
    record, listed = folder / "RECORD", folder / "top_level.txt"
    if not record.is_file():
        return set(listed.read_text("utf-8").split()) if listed.is_file() else {_stem(folder)[0].replace("-", "_")}
    first = {
        line.split(b"/", 1)[0] for line in record.read_bytes().split(b"\n")
    }  # a regular expression takes twice as long
    names = {name.partition(b",")[0].decode("utf-8", "replace") for name in first}
    plain = {name.partition(".")[0] if name.endswith(_EXTENSION) else name for name in names}
    found = {name for name in plain if name.isidentifier() and name != "__pycache__"}
    # An editable install records none of its modules: older back ends still list them.
    return found | (set(listed.read_text("utf-8").split()) if listed.is_file() else set())


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)).resolve()


def _stem(folder: Path) -> tuple[str, str]:
    name, _, version = folder.stem.rpartition("-")
    if folder.suffix == ".egg-info":
        name, _, version = folder.stem.partition("-")
    return name or folder.stem, version


def _holds(distribution: Distribution, module: str) -> bool:
    """Say whether `distribution` holds the file of a module that several of them could hold."""
    path = module.replace(".", "/")
    starts = (path + ".", path + "/__init__.")
    return any(name.startswith(starts) for name in _modules_of(distribution.folder))


@lru_cache(maxsize=64)
def _modules_of(folder: Path) -> tuple[str, ...]:
    return tuple(name for name in Distribution(folder).files() if name.endswith(_EXTENSION))


@lru_cache(maxsize=1)
def site_folders() -> frozenset[Path]:
    """Return the folders that Python itself has for what is installed."""
    import site
    import sysconfig

    known = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    known |= {*site.getsitepackages(), site.getusersitepackages()}
    return frozenset(Path(folder).resolve() for folder in known if folder)


def location(module: ModuleType) -> Path | None:
    """Return the file or, for a package, the folder that `module` was imported from."""
    folders = list(getattr(module, "__path__", None) or ())
    if folders:
        return Path(folders[0])
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) else None
