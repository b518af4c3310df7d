"""What a model, alias or endpoint may be completed to, read from the journal alone: MLflow takes seconds to import."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nbmlops.core.workspace import Workspace
from nbmlops.workflows.parameters import Completes

if TYPE_CHECKING:
    from nbmlops.journal import Snapshot

PLANS = "plans"  # below the workspace's cache: those that were shown, by the hexadecimal digits of their digests


def candidates(kind: Completes) -> tuple[str, ...]:
    """Return the known names of a kind (``model``, ``alias``, ``endpoint``, ``plan``), sorted; nothing for any other.

    Nothing is created: a workspace without a journal offers nothing.
    """
    workspace = Workspace.find()
    if kind == "plan":
        return tuple(sorted(path.stem for path in (workspace.cache / PLANS).glob("*.json")))
    known = workspace.journal_db.exists() or "NBMLOPS_JOURNAL_URI" in os.environ
    if kind not in {"model", "alias", "endpoint"} or not known:
        return ()
    from nbmlops.journal import Journal

    return tuple(sorted(_names(kind, Journal.open(workspace).at(datetime.now(UTC)))))


def _names(kind: Completes, now: Snapshot) -> set[str]:
    if kind == "endpoint":
        return set(now.endpoints)
    if kind == "alias":
        return {"champion", "challenger"}.union(*now.aliases.values())
    numbered = {f"{name}/{version}" for name, versions in now.versions.items() for version in versions}
    aliased = {f"{name}@{alias}" for name, aliases in now.aliases.items() for alias in aliases}
    return numbered | aliased | set(now.versions)
