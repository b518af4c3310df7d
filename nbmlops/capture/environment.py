"""The environment: exact pins of what the model and the kernel use, and the project's own modules."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

from nbmlops.capture import distributions, exports, modules
from nbmlops.capture.objects import uses
from nbmlops.core import digests
from nbmlops.core.display import Card, Shown, short, table
from nbmlops.core.records import Record

# What registering and serving need, whether or not it is loaded yet.
_LATER = ("cloudpickle", "mlflow", "numpy", "onnxruntime", "pandas", "scikit-learn", "skl2onnx", "skops", "nbmlops")

PYTHON = "python"
T = TypeVar("T")


@dataclass(frozen=True)
class Package(Record):
    """One installed distribution, pinned.

    Attributes
    ----------
    name, version : str
        As its own metadata spells them.
    origin : str
        ``index``; or, as PEP 610 records it, ``editable``, ``vcs`` or ``file``.
    url : str
        Where it came from unless from an index, without credentials; a VCS URL begins with ``git+``.
    commit : str
        The commit of a VCS install.
    scope : str
        ``model`` where the object needs it, directly or through what it requires; ``kernel`` for what else is used.
    """

    name: str
    version: str
    origin: str = "index"
    url: str = ""
    commit: str = ""
    scope: str = "kernel"

    @property
    def pin(self) -> str:
        """The line that pip takes; for an editable install, a comment that says what is missing."""
        if self.origin == "vcs":
            return f"{self.name} @ {self.url}@{self.commit}"
        if self.origin == "file":
            return f"{self.name} @ {self.url}"
        if self.origin == "editable":
            return f"# {self.name}=={self.version} is an editable install: no index has it"
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class PackageChange(Record):
    """What differs between two environments: Python, a package, or a module of the project (``module NAME``).

    A module's version is the beginning of its digest; an empty version means that it is missing.
    """

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Environment(Record, Shown):
    """What runs in this kernel. No environment variable is ever part of it.

    Attributes
    ----------
    id : str
        ``sha256:…`` over the Python minor version and the sorted pins, and nothing else: the same on every platform.
    python, python_full : str
        ``3.11`` and ``3.11.9``.
    packages : tuple of Package
        Sorted by name: what the objects and the kernel use, and all that those require.
    local_modules : tuple of LocalModule
        The project's own modules that the objects need.
    platform : str
        Such as ``Linux x86_64``; empty where it was captured before this was kept.
    """

    id: str
    python: str
    python_full: str
    packages: tuple[Package, ...]
    local_modules: tuple[modules.LocalModule, ...] = field(default=())
    platform: str = ""

    def _show_(self) -> Card:
        pins = (
            (one.name, one.version, "" if one.origin == "index" else one.origin, one.scope) for one in self.packages
        )
        return Card(
            title="Environment",
            fields={
                "id": self.id,
                "python": self.python_full,
                "platform": self.platform,
                "own modules": [module.name for module in self.local_modules],
            },
            tables=(table(("package", "version", "installed from", "needed by"), pins),),
            note="requirements(), conda() and dockerfile() give it as text, --out DIR as files.",
        )

    @classmethod
    def of(cls, captured: Mapping[str, Any]) -> Environment:
        """Return the environment that `to_dict` gave."""
        import msgspec

        return msgspec.convert(captured, cls, dec_hook=lambda kind, value: kind(value))

    def package(self, name: str) -> Package | None:
        """Return the package of that name, in any spelling, or None."""
        wanted = distributions.canonical(name)
        return next((one for one in self.packages if distributions.canonical(one.name) == wanted), None)

    def requirements(self, *, scope: str = "kernel") -> str:
        """Return exact pins in pip's syntax, one a line.

        Parameters
        ----------
        scope : {"kernel", "model"}
            ``kernel`` pins everything; ``model`` only what the object needs.
        """
        return "".join(package.pin + "\n" for package in self._of(scope))

    def conda(self, name: str = "nbmlops", *, scope: str = "kernel") -> str:
        """Return a conda environment file, in YAML: Python from conda, the exact pins through pip."""
        return exports.conda(name, self.python_full, self._pins(scope))

    def dockerfile(self, *, scope: str = "kernel") -> str:
        """Return a Dockerfile that installs the exact pins into the official image of this Python."""
        return exports.dockerfile(self.python_full, self._pins(scope))

    def files(self, *, scope: str = "kernel") -> dict[str, str]:
        """Return file name -> text of the lock, the conda environment and the Dockerfile; all list the same pins.

        Each begins with the Python version and the platform that it was captured on.
        """
        head = exports.heading(self.id, self.python_full, self.platform)
        return {
            exports.LOCK: head + self.requirements(scope=scope),
            exports.CONDA: head + self.conda(scope=scope),
            exports.DOCKERFILE: head + self.dockerfile(scope=scope),
        }

    def _pins(self, scope: str) -> list[str]:
        return [package.pin for package in self._of(scope)]

    def _of(self, scope: str) -> list[Package]:
        return [package for package in self.packages if scope != "model" or package.scope == "model"]

    def diff(self, other: Environment) -> tuple[PackageChange, ...]:
        """Return what changes from this environment to `other`: Python first, then packages, then modules, by name.

        A package that comes from elsewhere differs even where its version is the same: another commit, another
        address, an editable install instead of one from an index.
        """
        minor = self.python != other.python  # then the patch level says nothing more
        python = PackageChange(PYTHON, *(one.python if minor else one.python_full for one in (self, other)))
        packages = _changes(self._by_name(), other._by_name())
        before, after = ({one.name: short(one.digest) for one in of.local_modules} for of in (self, other))
        modules = (PackageChange(f"module {name}", *pair) for name, pair in _pairs(before, after))
        return tuple(change for change in (python, *packages, *modules) if change.before != change.after)

    def _by_name(self) -> dict[str, Package]:
        return {distributions.canonical(one.name): one for one in self.packages}


def _changes(before: Mapping[str, Package], after: Mapping[str, Package]) -> Iterator[PackageChange]:
    for name, (old, new) in _pairs(before, after):
        told = ["@".join(filter(None, (one.version, one.commit))) if one else "" for one in (old, new)]
        if told[0] == told[1] and old and new and (old.origin, old.url) != (new.origin, new.url):
            told = [f"{text} from {one.url or 'an index'}" for text, one in zip(told, (old, new), strict=True)]
        yield PackageChange(name, *told)


def _pairs(before: Mapping[str, T], after: Mapping[str, T]) -> Iterator[tuple[str, tuple[T | Any, T | Any]]]:
    """Yield each name of either side, sorted, with what it stands for on both; empty text where it is missing."""
    for name in sorted(before.keys() | after.keys()):
        yield name, (before.get(name, ""), after.get(name, ""))


def capture_environment(
    *objects: Any, root: Path | None = None, namespace: Mapping[str, Any] | None = None
) -> Environment:
    """Return the environment of this process, in some milliseconds.

    Counted is what the objects need, what the user's names and the project's modules refer to, and all that these
    require. What is merely loaded is not: libraries load others on a whim when they find them (MLflow loads Polars),
    and two registrations in one kernel would differ by it.

    Parameters
    ----------
    *objects : object
        The model, and the data it was fitted on: what they need is found by their classes, functions and contents.
    root : pathlib.Path, optional
        The project's root. Every loaded module below it is the project's and says by its imports what the kernel
        uses; without objects it is a local module, with objects those are that the objects need, wherever they lie.
    namespace : mapping of str to object, optional
        The user's names. Default: those of ``__main__``, the notebook's own.
    """
    index = distributions.installed()
    project = modules.local_code(modules.loaded_below(root or Path.cwd()))
    needed = uses(*objects)
    local = modules.local_code(needed) if objects else project
    direct = index.owners(needed | local.imports) | index.editables(module.path for module in local.modules)
    model = index.closure(direct) if objects else set()
    named = _named(vars(sys.modules["__main__"]) if namespace is None else namespace)
    kernel = index.closure(index.owners(named | project.imports) | direct | set(_LATER) | _interactive())
    packages = tuple(_package(index.by_name[name], name in model) for name in sorted(kernel))
    python = ".".join(platform.python_version_tuple()[:2])
    return Environment(
        environment_id(python, packages),
        python,
        platform.python_version(),
        packages,
        local.modules,
        platform=f"{platform.system()} {platform.machine()}",
    )


def _named(namespace: Mapping[str, Any]) -> frozenset[str]:
    """Return the modules that names refer to: as modules, as classes and functions, and by the classes of objects."""
    code = (ModuleType, type, FunctionType)
    return uses(*(value if isinstance(value, code) else type(value) for value in list(namespace.values())))


def _interactive() -> set[str]:
    return {name.lower() for name in ("ipykernel", "IPython") if name in sys.modules}


def _package(distribution: distributions.Distribution, needed: bool) -> Package:
    origin, url, commit = distribution.origin
    scope = "model" if needed else "kernel"
    return Package(distribution.name, distribution.version, origin, url, commit, scope)


def environment_id(python: str, packages: Iterable[Package]) -> str:
    """Return the digest of a Python minor version and some pins, whatever their order."""
    pins = sorted(
        f"{distributions.canonical(one.name)}=={one.version}{one.commit and '@' + one.commit}" for one in packages
    )
    return digests.of_json({"python": python, "pins": pins})
