"""The registry's verbs: list, tag, promote, delete and download model versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nbmlops.core.display import Column, Results, code, results
from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.core.progress import stage
from nbmlops.core.records import ModelVersion, health_badge
from nbmlops.core.references import ModelReference, check_alias
from nbmlops.workflows.parameters import AliasName, Filter, Folder, ModelRef, Reason, Tags, pairs
from nbmlops.workflows.session import Session, check_reason, reconciled

COLUMNS: dict[str, Column] = {
    "model": "reference",
    "kind": "kind",
    "aliases": "aliases",
    "tags": "tags",
    "deployed at": "deployed_at",
    "health": lambda version: health_badge(version.health),
    "registered": "created_at",
    "run": lambda version: code(version.run_id[:8]),
    "digest": "digest",
}


def models(filter: Filter | None = None) -> Results[ModelVersion]:
    """List model versions: run, tags, aliases, where deployed, health.

    Parameters
    ----------
    filter : str, optional
        Conditions on tags, as in ``area=botany``; also ``name=…`` and ``alias=…``. Several must all hold. A
        lone word is a model's name: ``flights`` is ``name=flights``.

    Returns
    -------
    Results of ModelVersion
        The newest version of each name first; `health` is asked of the running endpoints.
    """
    session = reconciled()
    health = _health(session)
    found = [_with_health(version, health) for version in session.registry.search(filter)]
    return results(
        found, COLUMNS, empty="No model matches." if filter else "No models yet: %register_model OBJ --name N"
    )


def _health(session: Session) -> dict[str, str]:
    from nbmlops.deployment import endpoints

    return {endpoint.name: endpoint.status for endpoint in endpoints(session.workspace, session.journal)}


def _with_health(version: ModelVersion, health: dict[str, str]) -> ModelVersion:
    states = [health.get(name, "down") for name in version.deployed_at]
    worst = next((state for state in ("down", "degraded", "healthy") if state in states), "")
    return replace(version, health=worst)


def tag(ref: ModelRef, tags: Tags, *, reason: Reason | None = None) -> ModelVersion:
    """Set tags of a model version.

    Parameters
    ----------
    ref : str
    tags : mapping of str to str
        An empty value takes the tag away.
    reason : str, optional
    """
    check_reason("tag", reason)
    chosen = pairs(tags)
    if not chosen:
        raise InvalidInput("no tag was given", expected="key=value, as in area=botany")
    session = reconciled()
    version = session.registry.version(ref)
    subject = f"model/{version.reference}"
    about = {"name": version.name, "version": version.version, "tags": chosen}
    with session.journal.operation("model.tagged", subject, about, reason=reason) as operation:
        session.registry.tag(version.reference, chosen)
        operation.done(**about)
    return session.registry.version(version.reference)


def promote(ref: ModelRef, alias: AliasName, *, reason: Reason | None = None) -> ModelVersion:
    """Give an alias to a model version.

    The alias moves here if another version held it; the journal keeps from where.

    Parameters
    ----------
    ref : str
    alias : str
        Such as ``champion``.
    reason : str, optional
    """
    check_reason("promote", reason)
    check_alias(alias)
    session = reconciled()
    version = session.registry.version(ref)
    about = {"name": version.name, "alias": alias, "version": version.version}
    with session.journal.operation("alias.set", f"model/{version.reference}", about, reason=reason) as operation:
        previous = session.registry.set_alias(version.reference, alias)
        operation.done(**about, previous=previous)
    return session.registry.version(version.reference)


def delete_model(ref: ModelRef, *, reason: Reason | None = None) -> ModelVersion:
    """Delete a model version that nothing uses.

    Refused where an endpoint serves it or an alias names it; the refusal is kept in the journal too.

    Parameters
    ----------
    ref : str
        It must name a version (``name/3``), since "the newest" may change under you.
    reason : str, optional

    Raises
    ------
    Refused
        Naming the endpoint or the alias, and what to do first.
    """
    check_reason("delete_model", reason)
    if ModelReference.parse(ref).version is None:
        raise InvalidInput(f"{ref!r} names no version", expected="name/3: exactly the version that is to go")
    session = reconciled()
    version = session.registry.version(ref)
    subject = f"model/{version.reference}"
    about = {"name": version.name, "version": version.version}
    try:
        with session.journal.operation("model.deleted", subject, about, reason=reason) as operation:
            session.registry.delete(version.reference)
            operation.done(**about, digest=version.digest)
    except Refused as refusal:
        session.journal.append(
            "model.refused", subject, {**about, "verb": "delete_model", "because": [refusal.message]}, reason=reason
        )
        raise
    return replace(version, deployed_at=(), aliases=())


def download(ref: ModelRef, folder: Folder) -> Path:
    """Write every registered file of a model version, checked.

    Parameters
    ----------
    ref : str
    folder : str or pathlib.Path
        Made where it does not exist; must be empty otherwise.

    Returns
    -------
    pathlib.Path
        The folder; each file equals the registered one by sha256.
    """
    stage("copying and checking the files")
    return reconciled().registry.download(ref, Path(folder).expanduser())
