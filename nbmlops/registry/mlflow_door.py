"""The only place that imports MLflow: once, late, without telemetry and without its noise."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbmlops.core.progress import stage

# Read by MLflow when it is imported or when it saves: no telemetry, and no export of the whole project by uv.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_UV_AUTO_DETECT": "false"}


def module(name: str = "") -> Any:
    """Import and return ``mlflow`` or one of its submodules.

    Examples
    --------
    ``module("sklearn")`` is ``mlflow.sklearn``.
    """
    full = f"mlflow.{name}" if name else "mlflow"
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    if "mlflow" not in sys.modules:
        stage("importing MLflow")
    with warnings.catch_warnings():
        # tqdm's, where a notebook has no ipywidgets: about a bar that is never shown.
        warnings.filterwarnings("ignore", message="IProgress not found")
        return importlib.import_module(full)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's notices (pickles, missing pip, migrations) out of the user's cell."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
