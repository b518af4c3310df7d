"""The table of verbs: names and where each lives, as text, so that no verb is imported before it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verb:
    """One verb and its names on each face.

    Attributes
    ----------
    python : str
        Name of the function in ``nbmlops``.
    target : str
        Where it lives, as ``module:function``.
    summary : str
        What it does; the first line of the function's docstring.
    magic : str
        Name of the line magic; empty where there is none.
    cli : str
        Name of the command; empty where there is none.
    cell : bool
        Whether the magic is one of a whole cell, ``%%NAME``.
    """

    python: str
    target: str
    summary: str
    magic: str = ""
    cli: str = ""
    cell: bool = False

    @property
    def called(self) -> str:
        """The magic as it is typed."""
        return f"{'%%' if self.cell else '%'}{self.magic}"

    def function(self) -> Callable[..., Any]:
        """Import and return the verb's function."""
        module, _, name = self.target.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


def _verb(name: str, module: str, summary: str, *, magic: str | None = None, cli: str | None = None) -> Verb:
    return Verb(
        python=name,
        target=f"nbmlops.workflows.{module}:{name}",
        summary=summary,
        magic=name if magic is None else magic,
        cli=name.replace("_", "-") if cli is None else cli,
    )


VERBS: tuple[Verb, ...] = (
    _verb("register_model", "register", "Capture a model with all that made it, and register it.", cli="register"),
    _verb("track", "track", "Log each later fit in this notebook as a run.", cli=""),
    _verb("models", "models", "List model versions: run, tags, aliases, where deployed, health."),
    _verb("tag", "models", "Set tags of a model version."),
    _verb("promote", "models", "Give an alias to a model version."),
    _verb("delete_model", "models", "Delete a model version that nothing uses."),
    _verb("download", "models", "Write every registered file of a model version, checked."),
    _verb("history", "govern", "Tell what happened to a model, who did it and why.", magic="model_history"),
    _verb("at", "govern", "Show models, aliases and endpoints as they were at a time."),
    _verb("verify", "govern", "Check the journal's chain from its first event to its head."),
    _verb("events", "govern", "List what the journal recorded, newest last."),
    _verb("environment", "govern", "Show the environment of this kernel or of a model version, or a difference."),
    _verb("convert", "convert", "Convert a model to ONNX, and keep it only where it agrees."),
    _verb("explain", "explain", "Explain a model version, one row, or a prediction of an endpoint."),
    _verb("profile", "profile", "Measure the real server with your rows, and recommend its size."),
    Verb("entry", "nbmlops.workflows.entry:entry", "Make a scoring script of a cell.", magic="entry", cell=True),
    _verb("deploy", "deploy", "Serve a model version behind a local HTTP endpoint."),
    _verb("endpoints", "operate", "List endpoints with their traffic and live health."),
    _verb("endpoint", "operate", "Return an endpoint by its name.", magic="", cli=""),
    _verb("traffic", "operate", "Divide an endpoint's traffic between versions."),
    _verb("rollback", "operate", "Take an endpoint back to its traffic before the last change."),
    _verb("logs", "operate", "Show the last lines of an endpoint's logs."),
    _verb("replay", "replay", "Run a request of an endpoint once more, here, with the very version that answered it."),
    _verb("collected", "collected", "Return the rows that an endpoint was sent, with its answers."),
    _verb("undeploy", "operate", "Stop and remove one endpoint."),
    _verb("down", "operate", "Stop everything that runs in this workspace."),
)

PYTHON: dict[str, Verb] = {verb.python: verb for verb in VERBS}
MAGICS: dict[str, Verb] = {verb.magic: verb for verb in VERBS if verb.magic}
COMMANDS: dict[str, Verb] = {verb.cli: verb for verb in VERBS if verb.cli}
