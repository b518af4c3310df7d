"""Optional packages: imported in their adapter alone, through one door whose error names the extra."""

from __future__ import annotations

import importlib
from types import ModuleType

from nbmlops.core.errors import MissingExtra


def require(module: str, extra: str, why: str) -> ModuleType:
    """Import `module`, or raise an error that names the extra which brings it.

    Raises
    ------
    MissingExtra
        When the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise  # it is installed, and something that it needs is not
        raise MissingExtra(
            f"{why} needs the package {module!r}, which is not installed",
            hint=f"Run: pip install 'nbmlops[{extra}]'",
        ) from error
