"""What a model came from: environment, machine, git, notebook and data, taken from the live kernel."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbmlops.capture.data import ColumnSchema, Fingerprint, fingerprint
    from nbmlops.capture.environment import Environment, Package, PackageChange, capture_environment, environment_id
    from nbmlops.capture.git import GitState, capture_git
    from nbmlops.capture.machine import Machine, capture_machine
    from nbmlops.capture.modules import LocalModule
    from nbmlops.capture.notebook import Cell, NotebookState, capture_notebook
    from nbmlops.capture.recorder import unwatch, watch
    from nbmlops.capture.snapshot import Captured, capture

_HOMES = {
    "data": ("ColumnSchema", "Fingerprint", "fingerprint"),
    "environment": ("Environment", "Package", "PackageChange", "capture_environment", "environment_id"),
    "git": ("GitState", "capture_git"),
    "machine": ("Machine", "capture_machine"),
    "modules": ("LocalModule",),
    "notebook": ("Cell", "NotebookState", "capture_notebook"),
    "recorder": ("unwatch", "watch"),
    "snapshot": ("Captured", "capture"),
}

__all__ = [
    "Captured",
    "Cell",
    "ColumnSchema",
    "Environment",
    "Fingerprint",
    "GitState",
    "LocalModule",
    "Machine",
    "NotebookState",
    "Package",
    "PackageChange",
    "capture",
    "capture_environment",
    "capture_git",
    "capture_machine",
    "capture_notebook",
    "environment_id",
    "fingerprint",
    "unwatch",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: ``%load_ext`` needs the recorder alone."""
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
