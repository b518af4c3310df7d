"""The lock of a bundle: exact pins of all that its server needs, and the digest of that environment."""

from __future__ import annotations

import platform
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbmlops.capture import Package, environment_id
from nbmlops.capture.distributions import canonical, installed

SERVER = ("httptools", "msgspec", "numpy", "prometheus-client", "psutil", "uuid-utils", "uvicorn", "uvloop")
BUILDS = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime")
"""Distributions that bring ONNX Runtime, those for more than the CPU first."""
RUNTIMES = {
    "onnx": ("onnxruntime",),
    "sklearn": ("scikit-learn", "pandas"),
    "pyfunc": ("mlflow", "pandas"),
    "hybrid": ("onnxruntime", "scikit-learn", "pandas"),
}


@dataclass(frozen=True)
class Lock:
    """Exact pins of a serving environment.

    Attributes
    ----------
    id : str
        ``sha256:…`` of the Python minor version and the sorted pins, as `nbmlops.capture.environment_id` makes it.
    python : str
        Python's minor version, as in ``3.11``.
    packages : tuple of Package
        Sorted by name.
    """

    id: str
    python: str
    packages: tuple[Package, ...] = field(repr=False)

    @property
    def text(self) -> str:
        """In pip's syntax, one pin a line."""
        return self.with_wheels({})

    def with_wheels(self, wheels: Mapping[str, str]) -> str:
        """Return the text in which some packages, by canonical name, are files beside it: ``./wheels/NAME.whl``."""
        places = (wheels.get(canonical(one.name)) for one in self.packages)
        return "".join(
            f"./{place}\n" if place else f"{one.pin}\n" for one, place in zip(self.packages, places, strict=True)
        )


def lock(environment: Mapping[str, Any], runtime: str, *, serialization: str = "") -> Lock:
    """Pin what a bundle's server needs.

    A converted model needs the server and ONNX Runtime alone. Any other one needs what its object needed when it was
    captured as well; where the capture and this installation disagree, the capture holds, for the model was fitted
    with it.

    Parameters
    ----------
    environment : mapping
        The captured environment: ``python`` and ``packages``.
    runtime : str
        ``onnx``, ``sklearn``, ``pyfunc`` or ``hybrid``.
    serialization : str
        ``skops`` or ``cloudpickle``, where the model's file needs that package to be read.
    """
    captured = [Package(**package) for package in environment.get("packages") or ()]
    needed = {canonical(one.name) for one in captured if one.scope == "model"} if runtime != "onnx" else set()
    index = installed()
    runtimes = {_present(name, index.by_name) for name in RUNTIMES[runtime]}
    closure = index.closure({*SERVER, *runtimes, *filter(None, [serialization]), *needed}) | needed
    pins = {canonical(one.name): one for one in captured if canonical(one.name) in closure}
    for name in closure - pins.keys():
        here = index.by_name[name]
        pins[name] = Package(here.name, here.version, *here.origin)
    packages = tuple(pins[name] for name in sorted(pins))
    python = environment.get("python") or ".".join(platform.python_version_tuple()[:2])
    return Lock(id=environment_id(python, packages), python=python, packages=packages)


def _present(name: str, known: Container[str]) -> str:
    """Return which distribution brings a package here; ONNX Runtime comes in several builds."""
    builds = BUILDS if name == "onnxruntime" else ()
    return next((build for build in builds if build in known), name)
