"""Projections: what the journal's events add up to. Pure folds, so that any moment of the past can be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from nbmlops.core.display import Card, Shown, local_time, table
from nbmlops.core.records import Record, frozen_map
from nbmlops.journal.events import Event
from nbmlops.journal.views import split

Traffic = Mapping[str, float]
OBSERVED = "observed."


@dataclass(frozen=True)
class EndpointState(Record):
    """An endpoint as the journal knows it.

    Attributes
    ----------
    traffic : mapping of str to float, percent
        Share of each version.
    arms : tuple of mapping
        Each loaded version: ``version``, ``bundle``, ``runtime``, ``why``, and of an ensemble its ``members``.
    status : str
        ``deployed``, ``unhealthy``, ``stopped`` or ``deleted``.
    shadows : mapping of str to float, percent
        Share of the requests that each shadow gets a copy of.
    splits : tuple of mapping
        Earlier values of `traffic`, newest last: what a rollback goes back to. The steps of a progressive rollout are
        not among them: it is undone as a whole.
    revision : int
        Of the last change of traffic; two kernels and a supervisor may append theirs in another order than they made
        them.
    deployed_at : datetime.datetime
        When it was last deployed.
    """

    name: str
    model: str = ""
    target: str = ""
    url: str = ""
    traffic: Traffic = field(default_factory=frozen_map)
    arms: tuple[Mapping[str, Any], ...] = ()
    resources: Mapping[str, Any] = field(default_factory=frozen_map)
    status: str = "deployed"
    shadows: Traffic = field(default_factory=frozen_map)
    splits: tuple[Traffic, ...] = ()
    revision: int = 0
    deployed_at: datetime | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """Versions that it has loaded, whatever their share of the traffic."""
        return tuple(str(arm["version"]) for arm in self.arms if "version" in arm)


def kind(event: Event) -> str:
    """Return the event's type without prefix; a change that was only observed counts as the change itself."""
    return event.kind.removeprefix(OBSERVED)


def endpoints(events: Iterable[Event]) -> dict[str, EndpointState]:
    """Return every endpoint ever deployed, by name, as the last event left it."""
    states: dict[str, EndpointState] = {}
    for event in events:
        change = ENDPOINT_CHANGES.get(kind(event))
        if change is None:
            continue
        name = str(event.data.get("endpoint") or event.subject.removeprefix("endpoint/"))
        state = states.get(name)
        if state is not None and _is_late(state, event):
            states[name] = _overtaken(state, event)
        elif state is not None or change is _deployed:
            states[name] = change(state or EndpointState(name, status="deleted"), event)
    return states


def _is_late(state: EndpointState, event: Event) -> bool:
    """Whether the event tells of a change that a later one, appended before it, has overtaken."""
    return state.status != "deleted" and 0 < _revision(event) < state.revision


def _overtaken(state: EndpointState, event: Event) -> EndpointState:
    """Take the split of an event that was late as one that came before, and what it loaded as loaded."""
    known = set(state.versions)
    loaded = [frozen_map(arm) for arm in event.data.get("arms") or () if str(arm.get("version")) not in known]
    return replace(state, splits=(*state.splits, _traffic(event)), arms=(*state.arms, *loaded))


def _revision(event: Event) -> int:
    return int(event.data.get("revision") or 0)


def _traffic(event: Event, key: str = "traffic") -> Traffic:
    given = event.data.get(key) or {}
    return frozen_map({str(version): float(share) for version, share in given.items()})


def _divided(state: EndpointState, event: Event, splits: tuple[Traffic, ...]) -> EndpointState:
    return replace(
        state,
        traffic=_traffic(event),
        arms=tuple(frozen_map(arm) for arm in event.data["arms"]) if "arms" in event.data else state.arms,
        shadows=_traffic(event, "shadows"),
        splits=splits,
        revision=_revision(event) or state.revision,
    )


def _deployed(state: EndpointState, event: Event) -> EndpointState:
    data, anew = event.data, state.status == "deleted"
    return EndpointState(
        name=state.name,
        model=str(data.get("model", "")),
        target=str(data.get("target", "")),
        url=str(data.get("url", "")),
        traffic=_traffic(event),
        arms=tuple(frozen_map(arm) for arm in data.get("arms") or ()),
        resources=frozen_map(data.get("resources")),
        shadows=_traffic(event, "shadows"),
        splits=() if anew else (*state.splits, state.traffic),
        revision=_revision(event),
        deployed_at=event.time,
    )


def _traffic_moved(state: EndpointState, event: Event) -> EndpointState:
    return _divided(state, event, (*state.splits, state.traffic))


def _stepped(state: EndpointState, event: Event) -> EndpointState:
    return _divided(state, event, state.splits)


def _rolled_back(state: EndpointState, event: Event) -> EndpointState:
    traffic, splits = _traffic(event), list(state.splits)
    if traffic in splits:  # what came after it is undone too: the next rollback goes further back
        newest = len(splits) - 1 - splits[::-1].index(traffic)
        splits = splits[:newest]
    return _divided(state, event, tuple(splits))


def _status(status: str) -> Callable[[EndpointState, Event], EndpointState]:
    def change(state: EndpointState, event: Event) -> EndpointState:
        return replace(state, status=status)

    return change


ENDPOINT_CHANGES: Mapping[str, Callable[[EndpointState, Event], EndpointState]] = {
    "endpoint.deployed": _deployed,
    "endpoint.traffic_moved": _traffic_moved,
    "endpoint.rolled_back": _rolled_back,
    "endpoint.rollout_advanced": _stepped,
    "endpoint.rollout_finished": _stepped,
    "endpoint.unhealthy": _status("unhealthy"),
    "endpoint.recovered": _status("deployed"),
    "endpoint.restarted": _status("deployed"),
    "endpoint.stopped": _status("stopped"),
    "endpoint.deleted": _status("deleted"),
}


def aliases(events: Iterable[Event]) -> dict[str, dict[str, int]]:
    """Return model -> alias -> version."""
    found: dict[str, dict[str, int]] = {}
    for event in events:
        what, data = kind(event), event.data
        of_model = found.setdefault(str(data.get("name", "")), {}) if what in ALIAS_CHANGES else {}
        if what == "alias.set":
            of_model[str(data["alias"])] = int(data["version"])
        elif what == "alias.removed":
            of_model.pop(str(data["alias"]), None)
        elif what == "model.deleted":
            for alias in [alias for alias, version in of_model.items() if version == int(data["version"])]:
                del of_model[alias]
    return {name: of_model for name, of_model in found.items() if of_model}


ALIAS_CHANGES = frozenset({"alias.set", "alias.removed", "model.deleted"})


def versions(events: Iterable[Event]) -> dict[str, tuple[int, ...]]:
    """Return model -> the versions that are registered, in order."""
    found: dict[str, set[int]] = {}
    for event in events:
        what = kind(event)
        if what == "model.registered":
            found.setdefault(str(event.data["name"]), set()).add(int(event.data["version"]))
        elif what == "model.deleted":
            found.get(str(event.data["name"]), set()).discard(int(event.data["version"]))
    return {name: tuple(sorted(numbers)) for name, numbers in found.items() if numbers}


@dataclass(frozen=True)
class Snapshot(Record, Shown):
    """What was registered, named and deployed at one moment.

    Attributes
    ----------
    time : datetime.datetime
    endpoints : mapping of str to EndpointState
        Those that ran; deleted ones are left out.
    aliases : mapping of str to (mapping of str to int)
        Model -> alias -> version.
    versions : mapping of str to tuple of int
        Model -> registered versions.
    """

    time: datetime
    endpoints: Mapping[str, EndpointState]
    aliases: Mapping[str, Mapping[str, int]]
    versions: Mapping[str, tuple[int, ...]]

    def _show_(self) -> Card:
        models = [
            (name, numbers, [f"{alias} → {version}" for alias, version in self.aliases.get(name, {}).items()])
            for name, numbers in self.versions.items()
        ]
        running = [
            (state.name, state.model, state.target, _shares(state), state.status, state.deployed_at)
            for state in self.endpoints.values()
        ]
        note = "" if models or running else "Nothing was registered or deployed yet."
        title = f"As it was at {local_time(self.time)}"
        tables = []
        if models:
            tables.append(table(("Model", "Versions", "Aliases"), models))
        if running:
            tables.append(table(("Endpoint", "Model", "Target", "Traffic", "Status", "Deployed"), running))
        return Card(title, tables=tuple(tables), note=note)


def _shares(state: EndpointState) -> str:
    return split(state.traffic) + (f"; shadow {split(state.shadows)}" if state.shadows else "")


def snapshot(events: Iterable[Event], time: datetime) -> Snapshot:
    """Fold events up to `time` into a snapshot."""
    past = [event for event in events if event.time <= time]
    living = {name: state for name, state in endpoints(past).items() if state.status != "deleted"}
    return Snapshot(time, frozen_map(living), frozen_map(aliases(past)), frozen_map(versions(past)))
