"""How events are told in words and shown as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmlops.core.display import Column, Results
from nbmlops.journal.events import Event


class Events(Results[Event]):
    """Events in order of sequence: a tuple that shows itself as a table."""

    columns: Mapping[str, Column] = {
        "#": "sequence",
        "When": "time",
        "What": "kind",
        "Subject": "subject",
        "Who": "actor",
        "Told": lambda event: describe(event),
        "Why": "reason",
    }
    empty = "No events yet: register a model with %register_model OBJ --name NAME"


def split(traffic: Mapping[str, Any] | None) -> str:
    """Return a split of traffic in words.

    >>> split({"1": 90.0, "2": 10.0})
    '1 = 90 %, 2 = 10 %'
    """
    return ", ".join(f"{version} = {float(share):g} %" for version, share in (traffic or {}).items()) or "nothing"


def describe(event: Event) -> str:
    """Return what happened in a few words; an event of an unknown type is told by its type."""
    what, data = event.kind, event.data
    observed = what.startswith("observed.")
    template = TEMPLATES.get(what.removeprefix("observed."))
    if template is None:
        return what.replace(".", " ").replace("_", " ")
    told = template.format_map(_Words(data))
    return f"{told} (seen afterwards, done elsewhere)" if observed else told


TEMPLATES: Mapping[str, str] = {
    "model.registered": "version {version} registered",
    "model.tagged": "tagged {tags}",
    "alias.set": "alias {alias} set to version {version}{from_previous}",
    "alias.removed": "alias {alias} removed from version {version}",
    "model.deleted": "version {version} deleted",
    "model.refused": "{verb} refused: {because}",
    "model.profiled": "profiled",
    "model.explained": "explained by {explainer}, {rows} rows",
    "model.converted": "tried in ONNX: {serves} serves it",
    "endpoint.deployed": "deployed to {endpoint} ({target}), traffic {traffic}",
    "endpoint.traffic_moved": "traffic of {endpoint} moved from {previous} to {traffic}",
    "endpoint.rolled_back": "{endpoint} rolled back from {previous} to {traffic}{because_of}",
    "endpoint.guardrail_tripped": "{endpoint}: guardrail {rule} tripped, {because}",
    "endpoint.rollout_advanced": "rollout at {endpoint} went on from {previous} to {traffic}: {because}",
    "endpoint.rollout_finished": "rollout at {endpoint} went on from {previous} to {traffic} and is done: {because}",
    "endpoint.token_rotated": "{endpoint} has a new token; the one before is taken for {grace_s} s more",
    "endpoint.capture_failing": "{endpoint}: {because}",
    "endpoint.capture_recovered": "{endpoint}: {because}",
    "endpoint.unhealthy": "{endpoint} unhealthy: {because}",
    "endpoint.recovered": "{endpoint} recovered: {because}",
    "endpoint.restarted": "{endpoint} restarted: {because}",
    "endpoint.stopped": "{endpoint} stopped: {because}",
    "endpoint.deleted": "{endpoint} deleted",
    "run.tracked": "fit of {estimator} tracked",
    "operation.started": "{verb} begun",
    "operation.failed": "{verb} failed with {error}",
    "operation.interrupted": "{verb} was interrupted",
}


class _Words(dict[str, Any]):
    """An event's data for a template: splits, tags and lists in words, what is missing as a dash."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__({key: _word(key, value) for key, value in data.items()})
        previous = data.get("previous")
        self["because_of"] = f": {data['because']}" if data.get("because") else ""
        self["from_previous"] = "" if previous is None else f" (before: {_word('previous', previous)})"

    def __missing__(self, key: str) -> str:
        return "–"


def _word(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            split(value)
            if key in {"traffic", "previous", "shadows"}
            else ", ".join(f"{k}={v}" for k, v in value.items())
        )
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value))
    return str(value)
