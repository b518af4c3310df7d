"""Deployment: plan what an endpoint shall be, bring it about, prove it, operate it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbmlops.deployment.arms import ArmSpec as ArmSpec
    from nbmlops.deployment.arms import MemberSpec as MemberSpec
    from nbmlops.deployment.arms import ensemble as ensemble
    from nbmlops.deployment.arms import for_journal as for_journal
    from nbmlops.deployment.handle import Endpoint as Endpoint
    from nbmlops.deployment.listing import endpoint as endpoint
    from nbmlops.deployment.listing import endpoints as endpoints
    from nbmlops.deployment.local import LocalTarget as LocalTarget
    from nbmlops.deployment.operate import Stopped as Stopped
    from nbmlops.deployment.operate import down as down
    from nbmlops.deployment.operate import rollback as rollback
    from nbmlops.deployment.operate import rotate_token as rotate_token
    from nbmlops.deployment.operate import set_traffic as set_traffic
    from nbmlops.deployment.operate import traffic_of as traffic_of
    from nbmlops.deployment.operate import undeploy as undeploy
    from nbmlops.deployment.plan import Change as Change
    from nbmlops.deployment.plan import DeploymentPlan as DeploymentPlan
    from nbmlops.deployment.progressive import Progressive as Progressive
    from nbmlops.deployment.proof import Proof as Proof
    from nbmlops.deployment.replays import Replay as Replay
    from nbmlops.deployment.replays import replay as replay
    from nbmlops.deployment.spec import Capture as Capture
    from nbmlops.deployment.spec import EndpointSpec as EndpointSpec
    from nbmlops.deployment.spec import Guardrails as Guardrails
    from nbmlops.deployment.spec import Limits as Limits
    from nbmlops.deployment.spec import Resources as Resources
    from nbmlops.deployment.splits import TrafficChange as TrafficChange
    from nbmlops.deployment.target import EndpointStatus as EndpointStatus
    from nbmlops.deployment.target import Target as Target
    from nbmlops.deployment.target import target_of as target_of
    from nbmlops.deployment.target import targets as targets
    from nbmlops.deployment.trials import Trial as Trial
    from nbmlops.deployment.trials import trial as trial

# A supervisor is a module of this package and stays small, so nothing is imported before it is asked for.
_HOMES = {
    "ArmSpec": "arms",
    "Capture": "spec",
    "Change": "plan",
    "DeploymentPlan": "plan",
    "Endpoint": "handle",
    "EndpointSpec": "spec",
    "EndpointStatus": "target",
    "Guardrails": "spec",
    "Limits": "spec",
    "LocalTarget": "local",
    "MemberSpec": "arms",
    "Progressive": "progressive",
    "Proof": "proof",
    "Replay": "replays",
    "Resources": "spec",
    "Stopped": "operate",
    "Target": "target",
    "TrafficChange": "splits",
    "Trial": "trials",
    "down": "operate",
    "endpoint": "listing",
    "ensemble": "arms",
    "for_journal": "arms",
    "endpoints": "listing",
    "replay": "replays",
    "rollback": "operate",
    "rotate_token": "operate",
    "set_traffic": "operate",
    "target_of": "target",
    "targets": "target",
    "traffic_of": "operate",
    "trial": "trials",
    "undeploy": "operate",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
