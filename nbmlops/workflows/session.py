"""What a verb works with: the workspace of this folder, its journal and its registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbmlops.core.errors import Refused
from nbmlops.core.settings import settings
from nbmlops.core.workspace import Workspace

if TYPE_CHECKING:
    from nbmlops.journal import Journal
    from nbmlops.registry import Registry


@dataclass(frozen=True)
class Session:
    """One workspace with the doors into it.

    Attributes
    ----------
    workspace : Workspace
    journal : Journal
    registry : Registry
    """

    workspace: Workspace
    journal: Journal
    registry: Registry


_open: dict[tuple[str, str, str], Session] = {}


def current() -> Session:
    """Return the session of the current folder's workspace, opening it on first use."""
    from nbmlops.journal import Journal
    from nbmlops.registry import Registry

    workspace = Workspace.find()
    key = (str(workspace.root), workspace.tracking_uri, workspace.journal_uri)
    session = _open.get(key)
    if session is None or not workspace.home.is_dir():
        workspace.open()
        journal = Journal.open(workspace)
        session = _open[key] = Session(workspace, journal, Registry(workspace, journal))
    return session


def reconciled() -> Session:
    """Return the session after what an earlier, killed verb left was completed or marked.

    Changes made behind nbmlops' back, with MLflow alone, are recorded as observed.
    """
    session = current()
    session.registry.reconcile()
    return session


def check_reason(verb: str, reason: str | None) -> str | None:
    """Return `reason`, or refuse where the strict setting asks for one and none was given."""
    if settings().strict and not (reason or "").strip():
        raise Refused(
            f"{verb} changes what others rely on, and strict mode asks why",
            hint="Give a reason: --reason 'why this change'.",
        )
    return reason
