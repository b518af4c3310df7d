"""What goes into a registration and what comes back: plain records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core.records import Record, frozen_map

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nbmlops.capture import Captured

PREFIX = "nbmlops."
"""Tags under this prefix are nbmlops' own; all others are the user's."""

ARTIFACTS = "nbmlops"
"""Folder of nbmlops' own artifacts in a run."""

STAGING = "registering-"
"""Beginning of the names of folders in the cache where a registration is prepared."""

UNOPENED = "kept unopened: register it with --trust to serve it"
"""The warning of a version that is a pickle which nobody trusted."""

Signature = dict[str, Any]
"""Plain data: ``inputs``, ``outputs``, ``task``, ``classes``, ``example`` and, of a model that takes some, ``params``
(see `nbmlops.registry.signature`)."""

UNKNOWN: Signature = {"inputs": None, "outputs": None, "task": "other", "classes": None, "example": None}
"""The signature of what says nothing about its inputs."""


@dataclass(frozen=True)
class Registration:
    """What is to be registered beside the object itself.

    Attributes
    ----------
    name : str
        Name of the model; its version number follows from what is registered already.
    captured : Captured
        The snapshot of environment, machine, git, notebook and data (`nbmlops.capture.capture`).
    data : DataFrame, array or table, optional
        The training data, shape (n_samples, n_features), with or without the label column.
    label : str
        Name of the label column in `data`; empty where it holds none.
    tags : mapping of str to str
    assets : tuple of path
        More files or folders to keep with the version (a vocabulary, a list of labels).
    trust : bool
        Unpickle a file that this workspace did not write, and register what it holds.
    operation : str
        Identifier of the journal's operation that this registration is part of.
    """

    name: str
    captured: Captured
    data: Any = None
    label: str = ""
    tags: Mapping[str, str] = field(default_factory=frozen_map)
    assets: tuple[str | Path, ...] = ()
    trust: bool = False
    operation: str = ""


@dataclass(frozen=True)
class Reference:
    """The reference sample of a version: rows of its training data and the fitted object's own answers.

    Attributes
    ----------
    inputs : DataFrame, shape (n_rows, n_columns)
        Drawn over all of the training data, in its order. An array's columns are named ``0``, ``1``, …
    predictions : ndarray, shape (n_rows,) or (n_rows, n_outputs)
        What ``predict`` gave when the version was registered.
    probabilities : ndarray, shape (n_rows, n_classes), or None
        What ``predict_proba`` gave, where the object has it.
    classes : list or None
        The classes in the order of the columns of `probabilities`.
    digest : str
        ``sha256:…`` of the stored sample.
    """

    inputs: pd.DataFrame
    predictions: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None
    classes: list[Any] | None
    digest: str = ""


@dataclass(frozen=True)
class StoredVersion(Record):
    """A version as MLflow holds it, the same whether it came from SQLite or over REST."""

    name: str
    version: int
    run_id: str
    source: str
    created_at: datetime
    tags: Mapping[str, str]
    aliases: tuple[str, ...]

    @property
    def own(self) -> dict[str, str]:
        """The tags of nbmlops itself, without their prefix."""
        return {key.removeprefix(PREFIX): value for key, value in self.tags.items() if key.startswith(PREFIX)}

    @property
    def user_tags(self) -> dict[str, str]:
        """The user's tags."""
        return {key: value for key, value in self.tags.items() if not key.startswith(PREFIX)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed at registration."""
        return tuple(json.loads(self.own.get("warnings") or "[]"))

    @property
    def model_id(self) -> str:
        """Identifier of the logged model; empty where there is none."""
        named = self.source.removeprefix("models:/") if self.source.startswith("models:/m-") else ""
        return self.own.get("model_id", named)

    @property
    def reference(self) -> str:
        """``name/version``."""
        return f"{self.name}/{self.version}"
