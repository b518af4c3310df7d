"""What happened, who did it and why: history, time travel, the chain, events and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from nbmlops.core.display import Results, results
from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.references import ModelReference, nearest
from nbmlops.workflows.parameters import ModelRef, Parameter, Time, moment
from nbmlops.workflows.session import Session, current

if TYPE_CHECKING:
    from nbmlops.capture import Environment, PackageChange
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
) -> Environment | Results[PackageChange]:
    """Show the environment of this kernel or of a model version, or a difference.

    Parameters
    ----------
    ref : str, optional
        A model version; without it, the running kernel.
    diff : str, optional
        A model version to compare with.

    Returns
    -------
    Environment or Results of PackageChange
        With ``requirements()`` and ``conda()``; or the packages that differ: name, version before and after.
    """
    from nbmlops.capture import capture_environment

    session = current()
    shown = _recorded(session, ref) if ref else capture_environment(root=session.workspace.root)
    if diff is None:
        return shown
    columns = {"package": "name", f"in {diff}": "before", f"in {ref or 'this kernel'}": "after"}
    return results(_recorded(session, diff).diff(shown), columns, empty="Both environments hold the same.")


def _recorded(session: Session, ref: str) -> Environment:
    import msgspec

    from nbmlops.capture import Environment

    return msgspec.convert(
        session.registry.captured(ref)["environment"], Environment, dec_hook=lambda kind, value: kind(value)
    )
