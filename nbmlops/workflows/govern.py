"""What happened, who did it and why: history, time travel, the chain, events and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.references import ModelReference, nearest
from nbmlops.workflows.parameters import ModelRef, Parameter, Time, moment
from nbmlops.workflows.session import current

if TYPE_CHECKING:
    from nbmlops.capture import Environment, EnvironmentDiff
    from nbmlops.journal import Events, History, Snapshot, Verification

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
) -> Environment | EnvironmentDiff:
    """Show the environment of this kernel or of a model version, or a difference.

    Parameters
    ----------
    ref : str, optional
        A model version; without it, the running kernel.
    diff : str, optional
        A model version to compare with.

    Returns
    -------
    Environment or EnvironmentDiff
        With ``requirements()`` and ``conda()``; or the packages that differ: name, old and new version.
    """
    from nbmlops.capture import Environment, capture_environment

    session = current()

    def recorded(of: str) -> Environment:
        return Environment.from_dict(session.registry.captured(of)["environment"])

    shown = recorded(ref) if ref else capture_environment(root=session.workspace.root)
    return recorded(diff).diff(shown) if diff else shown
