"""Look after what runs: list, divide traffic, roll back, read logs, take down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from nbmlops.core.display import Column, Results, code, results
from nbmlops.core.progress import stage
from nbmlops.core.records import health_badge
from nbmlops.workflows.parameters import EndpointName, Parameter, Reason, Splits, splits
from nbmlops.workflows.session import check_reason, current

if TYPE_CHECKING:
    from nbmlops.deployment import Endpoint, Stopped, TrafficChange

Lines = Annotated[int, Parameter("How many lines, the newest.", "N")]
Shadows = Annotated[
    Mapping[str, float],
    Parameter(
        "Percent of the requests that a version gets a copy of; may be repeated, 0 ends it.",
        "VERSION=PERCENT",
        read=lambda words, names: splits(words),
        many=True,
    ),
]
COLUMNS: dict[str, Column] = {
    "endpoint": "name",
    "status": lambda endpoint: health_badge(endpoint.status),
    "traffic": lambda endpoint: endpoint.rollout,
    "environment": "environment",
    "target": "target",
    "url": lambda endpoint: code(endpoint.url),
}


def endpoints() -> Results[Endpoint]:
    """List endpoints with their traffic and live health."""
    from nbmlops.deployment import endpoints as found

    session = current()
    return results(found(session.workspace, session.journal), COLUMNS, empty="No endpoints: %deploy REF starts one.")


def endpoint(name: str) -> Endpoint:
    """Return an endpoint by its name.

    Parameters
    ----------
    name : str

    Raises
    ------
    NotFound
        With the nearest names.
    """
    from nbmlops.deployment import endpoint as found

    session = current()
    return found(session.workspace, session.journal, name)


def traffic(
    endpoint: EndpointName,
    shares: Splits | None = None,
    *,
    shadow: Shadows | None = None,
    reason: Reason | None = None,
) -> TrafficChange:
    """Divide an endpoint's traffic between versions.

    Without shares and shadows it shows how the traffic is divided. A progressive rollout ends where it is divided by
    hand.

    Parameters
    ----------
    endpoint : str
    shares : mapping of str to float, percent, optional
        Version to its share; they sum to 100.
    shadow : mapping of str to float, percent, optional
        Version to the share of the requests that it gets a copy of; 0 ends it.
    reason : str, optional
    """
    from nbmlops.deployment import set_traffic, traffic_of

    session = current()
    if not shares and not shadow:
        return traffic_of(session.workspace, session.journal, endpoint)
    check_reason("traffic", reason)
    divided = splits(shares) if shares else None
    shadows = splits(shadow) if shadow else None
    return set_traffic(session.workspace, session.journal, endpoint, traffic=divided, shadows=shadows, reason=reason)


def rollback(endpoint: EndpointName, *, reason: Reason | None = None) -> Endpoint:
    """Take an endpoint back to its traffic before the last change.

    Parameters
    ----------
    endpoint : str
    reason : str, optional
    """
    from nbmlops.deployment import endpoint as found
    from nbmlops.deployment import rollback as rolled_back

    check_reason("rollback", reason)
    session = current()
    rolled_back(session.workspace, session.journal, endpoint, reason=reason)
    return found(session.workspace, session.journal, endpoint)


def logs(endpoint: EndpointName, *, lines: Lines = 50) -> str:
    """Show the last lines of an endpoint's logs.

    Parameters
    ----------
    endpoint : str
    lines : int, default 50
    """
    from nbmlops.deployment import endpoint as found

    session = current()
    return found(session.workspace, session.journal, endpoint).logs(lines)


def undeploy(endpoint: EndpointName, *, reason: Reason | None = None) -> Stopped:
    """Stop and remove one endpoint.

    Parameters
    ----------
    endpoint : str
    reason : str, optional
    """
    from nbmlops.deployment import endpoint as found
    from nbmlops.deployment import undeploy as removed

    check_reason("undeploy", reason)
    session = current()
    found(session.workspace, session.journal, endpoint)
    stage(f"stopping {endpoint}")
    return removed(session.workspace, session.journal, endpoint, reason=reason)


def down(*, reason: Reason | None = None) -> Stopped:
    """Stop everything that runs in this workspace.

    Parameters
    ----------
    reason : str, optional

    Returns
    -------
    Stopped
        The endpoints that were stopped; no process, port or socket of theirs is left.
    """
    from nbmlops.deployment import down as stopped

    check_reason("down", reason)
    session = current()
    stage("stopping every endpoint")
    return stopped(session.workspace, session.journal, reason=reason)
