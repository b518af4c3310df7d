"""What a model came from: environment, machine, git, notebook and data, taken from the live kernel."""

from nbmlops.capture.environment import Environment, Package, PackageChange, capture_environment, environment_id
from nbmlops.capture.fingerprint import ColumnSchema, Fingerprint, fingerprint
from nbmlops.capture.git import GitState, capture_git
from nbmlops.capture.machine import Machine, capture_machine
from nbmlops.capture.modules import LocalModule
from nbmlops.capture.notebook import Cell, NotebookState, capture_notebook
from nbmlops.capture.recorder import unwatch, watch
from nbmlops.capture.snapshot import Captured, capture

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
