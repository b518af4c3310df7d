"""A model's history: when, who, what, why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nbmlops.core.display import Card, Shown, table
from nbmlops.core.records import Record
from nbmlops.core.references import ModelReference
from nbmlops.journal.events import Event
from nbmlops.journal.projections import kind
from nbmlops.journal.views import describe


@dataclass(frozen=True)
class Change(Record):
    """One line of a model's history: when, who, what, why."""

    when: datetime
    who: str
    what: str
    why: str
    subject: str
    sequence: int


@dataclass(frozen=True)
class History(Record, Shown):
    """What happened to a model or one version of it, oldest first."""

    model: str
    changes: tuple[Change, ...]

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def _show_(self) -> Card:
        rows = ((c.when, c.who, c.what, c.why, c.subject, c.sequence) for c in self.changes)
        return Card(f"History of {self.model}", tables=(table(("When", "Who", "What", "Why", "Subject", "#"), rows),))


def history(events: Iterable[Event], model: str) -> History:
    """Return the history of ``name`` or ``name/3``: registration, aliases, endpoints, refusals, deletion.

    ``name@alias`` gives the history of the whole model.
    """
    reference = ModelReference.parse(model)
    changes: list[Change] = []
    serving: dict[str, str] = {}  # endpoint -> the model it serves
    for event in events:
        if kind(event).startswith("endpoint.") and (named := event.data.get("model")):
            serving[event.subject] = str(named)
        if not _repeats(event) and _concerns(event, reference, serving.get(event.subject)):
            changes.append(_change(event))
    return History(str(reference), tuple(changes))


def _repeats(event: Event) -> bool:
    """Whether another event tells the same: an intent is told by its outcome, a refusal by an event of its own."""
    refused = kind(event) == "operation.failed" and event.data.get("error") == "Refused"
    return refused or kind(event) == "operation.started"


def _concerns(event: Event, reference: ModelReference, served: str | None) -> bool:
    data = event.data
    kind_of_subject, _, rest = event.subject.partition("/")
    if kind_of_subject == "model":
        name, _, number = rest.rpartition("/") if rest.rpartition("/")[2].isdecimal() else (rest, "", "")
        touched = {number or str(data.get("version", ""))}
    elif kind_of_subject == "endpoint":
        name = served or ""
        touched = {str(version) for split in ("traffic", "previous") for version in data.get(split) or {}}
        touched |= {str(arm.get("version")) for arm in data.get("arms") or ()}
    else:
        name, touched = str(data.get("name") or data.get("model") or ""), {str(data.get("version", ""))}
    if any(_is_member(member, reference) for arm in data.get("arms") or () for member in arm.get("members") or ()):
        return True
    if name != reference.name:
        return False
    # An event that names no version (an endpoint that restarts, say) concerns each of the model's.
    return reference.version is None or str(reference.version) in touched or touched <= {""}


def _is_member(member: Mapping[str, Any], reference: ModelReference) -> bool:
    """Whether a member of an ensemble is what `reference` names."""
    same = str(member.get("model")) == reference.name
    return same and reference.version in (None, int(member.get("version") or 0))


def _change(event: Event) -> Change:
    return Change(event.time, event.actor, describe(event), event.reason, event.subject, event.sequence)
