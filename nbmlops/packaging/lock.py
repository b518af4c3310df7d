"""The lock of a bundle: exact pins of all that its server needs, and the digest of that environment."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nbmlops.core import digests

SERVER = ("httptools", "msgspec", "numpy", "prometheus-client", "psutil", "uuid-utils", "uvicorn", "uvloop")
RUNTIMES = {"onnx": ("onnxruntime",), "sklearn": ("scikit-learn", "pandas"), "pyfunc": ("mlflow", "pandas")}


@dataclass(frozen=True)
class Lock:
    """Exact pins of a serving environment.

    Attributes
    ----------
    id : str
        ``sha256:…`` of the Python minor version and the sorted pins.
    text : str
        In pip's syntax.
    """

    id: str
    text: str


def lock(environment: Mapping[str, Any], runtime: str, *, serialization: str = "") -> Lock:
    """Pin what a bundle's server needs.

    A converted model needs the server and ONNX Runtime alone. Any other one needs what was captured with it as well;
    where the capture and this installation disagree, the capture holds, since the model was fitted with it.

    Parameters
    ----------
    environment : mapping
        The captured environment: ``python`` and ``packages``.
    runtime : str
        ``onnx``, ``sklearn`` or ``pyfunc``.
    serialization : str
        ``skops`` or ``cloudpickle``, where the model's file needs that package to be read.
    """
    captured = {canonicalize_name(package["name"]): _pin(package) for package in environment.get("packages") or ()}
    wanted: list[str] = [*SERVER, *RUNTIMES[runtime], *([serialization] if serialization else [])]
    if runtime != "onnx":
        wanted += list(captured)
    pins = {name: f"{name}=={version}" for name, version in _installed_closure(wanted).items()}
    pins |= {name: pin for name, pin in captured.items() if runtime != "onnx" or name in pins}
    python = environment.get("python") or ".".join(platform.python_version_tuple()[:2])
    lines = [pins[name] for name in sorted(pins)]
    return Lock(id=digests.of_json({"python": python, "packages": lines}), text="".join(f"{line}\n" for line in lines))


def _pin(package: Mapping[str, Any]) -> str:
    name = canonicalize_name(package["name"])
    if package.get("origin") == "vcs" and package.get("url"):
        return f"{name} @ git+{package['url']}@{package['commit']}"
    return f"{name}=={package['version']}"


def _installed_closure(names: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each of `names` and of all that they require."""
    found: dict[str, str] = {}
    queue = [canonicalize_name(name) for name in names]
    while queue:
        name = queue.pop()
        if name in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # pinned by the capture, or not for this platform
            continue
        found[name] = distribution.version
        for text in distribution.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                queue.append(canonicalize_name(requirement.name))
    return found
