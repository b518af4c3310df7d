"""Whether processes have installed what the bundles they serve were locked with, by their own word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbmlops.core.display import short
from nbmlops.core.errors import Refused
from nbmlops.deployment.arms import Model
from nbmlops.deployment.child import ChildFailed
from nbmlops.deployment.spec import EndpointSpec

CODE = "environment_differs"
STRAIN = "environment of version "  # begins what health keeps of it
REMEDY = (
    "Install these versions, or register the model anew with what is installed. A process that has run since before an "
    "upgrade goes on with what it has loaded: restart the endpoint. --any-environment serves it all the same."
)

Figures = Mapping[Any, Mapping[str, Any]]  # of an endpoint's scorers


def check_installed(model: Model, installed: Mapping[str, Any] | None) -> None:
    """Refuse a model that would be served with other packages than its bundle pins.

    Parameters
    ----------
    installed : mapping or None
        What the process that would serve it says; None from one that was packed before there was such a word.

    Raises
    ------
    ChildFailed
        Naming each package that differs, with the version that is pinned and the one that is installed.
    """
    differs = (installed or {}).get("differs") or []
    if differs:
        told = "; ".join(
            f"{one['name']} {one['installed'] or 'is missing'} instead of {one['pinned']}" for one in differs
        )
        raise ChildFailed(f"{model.reference} would be served in another environment than its own: {told}", code=CODE)


def refused(answer: Mapping[str, Any]) -> Refused:
    """Return the error for whoever wanted such a model served."""
    return Refused(
        str(answer["error"]), expected="what requirements.lock in its bundle pins; nothing was changed", hint=REMEDY
    )


def served_in(figures: Figures) -> dict[str, dict[str, Any]]:
    """Return version -> the ids of its environment and what differs, as the scorers say; one that differs wins."""
    found: dict[str, dict[str, Any]] = {}
    for of_one in figures.values():
        for version, arm in of_one["arms"].items():
            said = arm.get("environment")
            if said is not None and (version not in found or said["differs"]):
                found[version] = said
    return found


def strains(spec: EndpointSpec, environments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what is wrong with versions that are served in another environment, unless that was accepted."""
    accepted = {arm.version for arm in spec.arms if arm.any_environment}
    return {
        f"{STRAIN}{version}": f"version {version} is served in another environment than its own: {listed(said)}"
        for version, said in environments.items()
        if said["differs"] and version not in accepted
    }


def listed(said: Mapping[str, Any]) -> str:
    """Return what differs, in words."""
    return "; ".join(said["differs"])


def environment_line(version: str, said: Mapping[str, Any] | None) -> str:
    """Return one line for an endpoint's card; empty where nothing is known of the version."""
    if not said or not said.get("serving_environment_id"):
        return ""
    ids = f"v{version}: {short(said['serving_environment_id'])}"
    run = f", run {short(said['environment_id'])}" if said["environment_id"] else ""
    state = "as locked" if not said["differs"] else f"not as locked: {listed(said)}"
    return f"{ids}{run}; {state}"


def environment_cell(environments: Mapping[str, Mapping[str, Any]], versions: Iterable[str]) -> str:
    """Return how the environments of some versions are, for a cell of a table."""
    cells = []
    for version in versions:
        said = environments.get(version)
        if said and said.get("serving_environment_id"):
            mark = "" if not said["differs"] else " (differs)"
            cells.append(f"v{version} {short(said['serving_environment_id'])}{mark}")
    return ", ".join(cells)
