"""What happened, who did it and why: history, time travel, the chain, events and environments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nbmlops.core.display import Results, results
from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.references import ModelReference, nearest
from nbmlops.core.workspace import storage_errors
from nbmlops.workflows.parameters import Folder, ModelRef, Parameter, Time, moment
from nbmlops.workflows.session import Session, current

if TYPE_CHECKING:
    from nbmlops.capture import Environment, PackageChange
    from nbmlops.journal import Events, History, Snapshot, Verification
    from nbmlops.packaging.restoring import Restored

EventType = Annotated[str, Parameter("Only events of this type, as in model.registered or 'endpoint.*'.", "TYPE")]
Subject = Annotated[str, Parameter("Only events about this, as in endpoint/flights or 'model/*'.", "SUBJECT")]
Limit = Annotated[int, Parameter("At most so many, the newest.", "N")]
MOST_EVENTS = 10_000


def history(ref: ModelRef) -> History:
    """Tell what happened to a model, who did it and why.

    Parameters
    ----------
    ref : str
        A model's name, or one of its versions.

    Returns
    -------
    History
        Oldest first: registrations, tags, aliases, deployments, traffic, refusals, deletions.
    """
    from nbmlops.journal import history as told

    journal = current().journal
    reference = ModelReference.parse(ref)
    story = told(journal.events(), str(reference))
    if not story:
        known = {event.subject.split("/")[1] for event in journal.events("model.*")}
        raise NotFound(
            f"the journal knows nothing of {ref!r}",
            expected="a model that was registered in this workspace",
            hint=nearest(reference.name, known) or "List the models with: %models",
        )
    return story


def at(time: Time) -> Snapshot:
    """Show models, aliases and endpoints as they were at a time.

    Parameters
    ----------
    time : datetime.datetime or str
        ISO 8601, a time of today, or ``10 min ago``.

    Returns
    -------
    Snapshot
        A fold of the journal up to that time.
    """
    return current().journal.at(moment(time))


def verify() -> Verification:
    """Check the journal's chain from its first event to its head.

    Returns
    -------
    Verification
        `ok`, the number of events, the head's digest, and each problem with its sequence number.
    """
    return current().journal.verify()


def events(type: EventType | None = None, *, subject: Subject | None = None, limit: Limit = 20) -> Events:
    """List what the journal recorded, newest last.

    Parameters
    ----------
    type : str, optional
        Exact, or a beginning followed by ``*``.
    subject : str, optional
        Likewise.
    limit : int, default 20
    """
    if not 1 <= limit <= MOST_EVENTS:
        raise InvalidInput(f"limit is {limit}", expected=f"a number from 1 to {MOST_EVENTS:,}")
    return current().journal.events(type, subject, limit=limit)


def environment(
    ref: ModelRef | None = None,
    *,
    diff: Annotated[str, Parameter("Compare with this model version's.", "REF", completes="model")] | None = None,
    out: Annotated[Folder, Parameter("Write it as a lock, a conda environment and a Dockerfile.")] | None = None,
    restore: Annotated[Folder, Parameter("Make it here, with the version's own modules and cells.")] | None = None,
    fetch: Annotated[bool, Parameter("Let uv fetch what is neither installed here nor cached.")] = False,
) -> Environment | Results[PackageChange] | Path | Restored:
    """Show the environment of this kernel or of a model version, or a difference.

    Parameters
    ----------
    ref : str, optional
        A model version; without it, the running kernel.
    diff : str, optional
        A model version to compare with.
    out : str or pathlib.Path, optional
        Write ``requirements.lock``, ``environment.yml`` and ``Dockerfile`` into this folder; all list the same pins.
    restore : str or pathlib.Path, optional
        Make a virtual environment of the version's lock in this folder, with the modules and the cells that made it.
    fetch : bool, default False
        With `restore`: let uv fetch packages that are neither installed here nor in its cache.

    Returns
    -------
    Environment, Results of PackageChange, pathlib.Path or Restored
        With ``requirements()``, ``conda()`` and ``dockerfile()``; or what differs: name, before and after; or the
        folder that was written; or what was restored, and how to use it.
    """
    from nbmlops.capture import capture_environment

    given = {"--diff": diff, "--out": out, "--restore": restore}
    if len(asked := [name for name, value in given.items() if value is not None]) > 1:
        raise InvalidInput(f"{' and '.join(asked)} are two things", expected="one of them")
    session = current()
    if restore is not None:
        return _restored(session, ref, Path(restore), fetch=fetch)
    shown = _recorded(session, ref) if ref else capture_environment(root=session.workspace.root)
    if out is not None:
        return _written(shown, Path(out).expanduser())
    if diff is None:
        return shown
    columns = {"what": "name", f"in {diff}": "before", f"in {ref or 'this kernel'}": "after"}
    return results(_recorded(session, diff).diff(shown), columns, empty="Both environments hold the same.")


def _recorded(session: Session, ref: str) -> Environment:
    from nbmlops.capture import Environment

    captured = session.registry.captured(ref).get("environment")
    if not captured:
        raise NotFound(f"no environment was captured of {ref!r}", expected="a model that nbmlops registered")
    return Environment.of(captured)


def _written(shown: Environment, folder: Path) -> Path:
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in shown.files().items():
            (folder / name).write_text(text)
    return folder


def _restored(session: Session, ref: str | None, folder: Path, *, fetch: bool) -> Restored:
    from nbmlops.packaging.restoring import restore

    if ref is None:
        raise InvalidInput("no model version is named to restore", expected="%environment REF --restore DIR")
    registry = session.registry
    reference = registry.version(ref).reference
    model = registry.model_folder(reference)
    return restore(reference, registry.captured(reference), model, folder=folder, fetch=fetch)
