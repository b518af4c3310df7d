"""One journal: every change of state is one event, appended to one hash-chained log."""

from nbmlops.journal.events import Event
from nbmlops.journal.history import Change, History, history
from nbmlops.journal.journal import Journal
from nbmlops.journal.operations import Operation
from nbmlops.journal.projections import EndpointState, Snapshot, aliases, endpoints, snapshot, versions
from nbmlops.journal.verification import Verification
from nbmlops.journal.views import Events, describe, split

__all__ = [
    "Change",
    "EndpointState",
    "Event",
    "Events",
    "History",
    "Journal",
    "Operation",
    "Snapshot",
    "Verification",
    "aliases",
    "describe",
    "endpoints",
    "history",
    "snapshot",
    "split",
    "versions",
]
