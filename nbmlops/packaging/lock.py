"""The lock of a bundle: exact pins of all that its server needs, and the digest of that environment."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbmlops.capture import Package, environment_id
from nbmlops.capture.distributions import canonical, installed

SERVER = ("httptools", "msgspec", "numpy", "prometheus-client", "psutil", "uuid-utils", "uvicorn", "uvloop")
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
    text : str
        In pip's syntax, sorted by name.
    """

    id: str
    text: str


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
    closure = index.closure({*SERVER, *RUNTIMES[runtime], *filter(None, [serialization]), *needed}) | needed
    pins = {canonical(one.name): one for one in captured if canonical(one.name) in closure}
    for name in closure - pins.keys():
        here = index.by_name[name]
        pins[name] = Package(here.name, here.version, *here.origin)
    packages = [pins[name] for name in sorted(pins)]
    python = environment.get("python") or ".".join(platform.python_version_tuple()[:2])
    text = "".join(f"{package.pin}\n" for package in packages)
    return Lock(id=environment_id(python, packages), text=text)
