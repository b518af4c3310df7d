"""nbmlops: from the cell a model was fitted in to production and back.

``%load_ext nbmlops`` gives the magics, ``import nbmlops`` the same verbs as functions, ``nbmlops`` in a shell the same
verbs as commands. Nothing heavy is imported before the first verb runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbmlops.conversion import ConversionReport as ConversionReport
    from nbmlops.core.errors import NbmlopsError as NbmlopsError
    from nbmlops.core.records import ModelVersion as ModelVersion
    from nbmlops.core.workspace import Workspace as Workspace
    from nbmlops.deployment import Endpoint as Endpoint
    from nbmlops.explanation import Explanation as Explanation
    from nbmlops.journal import Event as Event
    from nbmlops.profiling import ProfileReport as ProfileReport
    from nbmlops.workflows.collected import collected as collected
    from nbmlops.workflows.convert import convert as convert
    from nbmlops.workflows.deploy import deploy as deploy
    from nbmlops.workflows.entry import entry as entry
    from nbmlops.workflows.explain import explain as explain
    from nbmlops.workflows.govern import at as at
    from nbmlops.workflows.govern import environment as environment
    from nbmlops.workflows.govern import events as events
    from nbmlops.workflows.govern import history as history
    from nbmlops.workflows.govern import verify as verify
    from nbmlops.workflows.models import delete_model as delete_model
    from nbmlops.workflows.models import download as download
    from nbmlops.workflows.models import models as models
    from nbmlops.workflows.models import promote as promote
    from nbmlops.workflows.models import tag as tag
    from nbmlops.workflows.operate import down as down
    from nbmlops.workflows.operate import endpoint as endpoint
    from nbmlops.workflows.operate import endpoints as endpoints
    from nbmlops.workflows.operate import logs as logs
    from nbmlops.workflows.operate import rollback as rollback
    from nbmlops.workflows.operate import traffic as traffic
    from nbmlops.workflows.operate import undeploy as undeploy
    from nbmlops.workflows.profile import profile as profile
    from nbmlops.workflows.register import register_model as register_model
    from nbmlops.workflows.replay import replay as replay
    from nbmlops.workflows.track import track as track

TYPES = {
    "ConversionReport": "nbmlops.conversion",
    "Endpoint": "nbmlops.deployment",
    "Event": "nbmlops.journal",
    "Explanation": "nbmlops.explanation",
    "ModelVersion": "nbmlops.core.records",
    "NbmlopsError": "nbmlops.core.errors",
    "ProfileReport": "nbmlops.profiling",
    "Workspace": "nbmlops.core.workspace",
}

__all__ = [
    "ConversionReport",
    "Endpoint",
    "Event",
    "Explanation",
    "ModelVersion",
    "NbmlopsError",
    "ProfileReport",
    "Workspace",
    "at",
    "collected",
    "convert",
    "delete_model",
    "deploy",
    "down",
    "download",
    "endpoint",
    "endpoints",
    "entry",
    "environment",
    "events",
    "explain",
    "history",
    "logs",
    "models",
    "profile",
    "promote",
    "register_model",
    "replay",
    "rollback",
    "tag",
    "track",
    "traffic",
    "undeploy",
    "verify",
]


def _lazy(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name in TYPES:
        return getattr(import_module(TYPES[name]), name)
    if name not in __all__:
        raise AttributeError(f"module 'nbmlops' has no attribute {name!r}")
    from nbmlops.workflows.verbs import PYTHON

    return PYTHON[name].function()


if not TYPE_CHECKING:  # type checkers would take every name for one that exists
    __getattr__ = _lazy


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to a notebook: ``%load_ext nbmlops``."""
    from nbmlops.notebook.extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away: ``%unload_ext nbmlops``."""
    from nbmlops.notebook.extension import unload

    unload(shell)
