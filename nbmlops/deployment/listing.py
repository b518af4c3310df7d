"""Find endpoints: what the journal says is deployed, and what lives."""

from __future__ import annotations

from nbmlops.core.workspace import Workspace
from nbmlops.deployment import operate
from nbmlops.deployment.handle import Endpoint
from nbmlops.journal import Journal

DEPLOYED = "deployed"


def endpoint(workspace: Workspace, journal: Journal, name: str) -> Endpoint:
    """Return an endpoint by its name, from whichever kernel it was deployed.

    Raises
    ------
    NotFound
        With the nearest names.
    """
    return Endpoint(name, operate.place(workspace, journal, name), workspace, journal)


def endpoints(workspace: Workspace, journal: Journal) -> list[Endpoint]:
    """Return every endpoint, by name; one that died without a word is journalled as unhealthy, once."""
    states = operate.states(journal)
    found = [Endpoint(name, target, workspace, journal) for name, target in operate.places(workspace, journal).items()]
    for one in found:
        state = states.get(one.name)
        if state is not None and state.status == DEPLOYED and (now := one.live()).health == "down":
            data = {"endpoint": one.name, "because": now.because}
            journal.append("endpoint.unhealthy", f"endpoint/{one.name}", data)
    return found
