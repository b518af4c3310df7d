"""Plan a deployment, show it, and carry it out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from nbmlops.core.errors import InvalidInput, NotFound, Refused
from nbmlops.core.progress import stage
from nbmlops.core.records import ModelVersion
from nbmlops.core.references import check_name, nearest
from nbmlops.core.settings import settings
from nbmlops.workflows.parameters import EndpointName, ModelRef, Parameter, Reason, Trust
from nbmlops.workflows.prepare import Prepared, prepare
from nbmlops.workflows.session import Session, check_reason, reconciled

if TYPE_CHECKING:
    from nbmlops.deployment import ArmSpec, DeploymentPlan, Endpoint, EndpointSpec, Resources, Target

TargetName = Annotated[str, Parameter("Where to: local.", "TARGET")]
Cpu = Annotated[float, Parameter("Cores to keep it on (soft: CPU affinity).", "CORES")]
Memory = Annotated[int, Parameter("MiB of memory after which a process is replaced (soft: a watchdog).", "MIB")]
Share = Annotated[float, Parameter("Percent of the traffic for this version; the others keep the rest.", "PERCENT")]
Port = Annotated[int, Parameter("Port to listen on; by default a free one, kept for the endpoint's life.", "PORT")]
PlanOnly = Annotated[bool, Parameter("Show the plan and change nothing.")]
Auth = Annotated[bool, Parameter("Serve without a token: every user of this machine may call it.")]


def deploy(  # noqa: PLR0913 - one option each of the public surface
    ref: ModelRef,
    *,
    endpoint: EndpointName | None = None,
    target: TargetName = "local",
    cpu: Cpu | None = None,
    memory: Memory | None = None,
    traffic: Share = 100.0,
    port: Port | None = None,
    plan: PlanOnly = False,
    auth: Auth = True,
    trust: Trust = False,
    reason: Reason | None = None,
) -> Endpoint | DeploymentPlan:
    """Serve a model version behind a local HTTP endpoint.

    The saved sample is replayed through the real server first: ONNX Runtime serves the version only where its answers
    equal the fitted object's, and the version's own runtime otherwise. Requests in flight are never dropped.

    Parameters
    ----------
    ref : str
    endpoint : str, optional
        By default the model's name.
    target : str, default "local"
    cpu : float, cores, optional
        By default what the last profile of this version recommends.
    memory : int, MiB, optional
        Likewise.
    traffic : float, percent, default 100
        This version's share; what the endpoint serves already keeps the rest, in its own proportion.
    port : int, optional
    plan : bool, default False
        Return the plan and change nothing.
    auth : bool, default True
        False opens the endpoint to every user of this machine.
    trust : bool, default False
        Serve a version that this workspace did not register.
    reason : str, optional

    Returns
    -------
    Endpoint or DeploymentPlan

    Raises
    ------
    Refused
        The served answers differ from the fitted object's, or the endpoint serves another model.
    EndpointError
        The server does not start; its last lines are in the message. What served before still serves.
    """
    check_reason("deploy", reason)
    session = reconciled()
    place = _target(session, target)
    version = session.registry.version(ref)
    name = check_name(endpoint or version.name, "endpoint name")
    prepared = prepare(session, version, trust=trust)
    spec = _wanted(place.spec(name), version, prepared, name=name, share=traffic)
    resources = _resources(session, version, now=spec.resources, cpu=cpu, memory=memory)
    spec = replace(spec, resources=resources, port=port or spec.port, auth=auth)
    planned = place.plan(spec)
    if plan:
        return planned
    from nbmlops.deployment import endpoint as open_endpoint

    about = {"endpoint": name, "model": version.name, "version": str(version.version), "plan": planned.digest}
    with session.journal.operation("endpoint.deployed", f"endpoint/{name}", about, reason=reason) as operation:
        stage(f"starting {version.reference} behind {name}")
        status = place.apply(planned)
        operation.done(
            **about,
            target=target,
            url=status.url,
            traffic=spec.traffic,
            arms=[_arm(arm) for arm in spec.arms],
            resources=spec.resources.to_dict(),
            replay=dict(prepared.replay),
        )
    return open_endpoint(session.workspace, session.journal, name)


def _target(session: Session, name: str) -> Target:
    from nbmlops.deployment import targets

    known = targets(session.workspace, session.journal)
    if name not in known:
        raise NotFound(
            f"no target is named {name!r}", expected=f"one of {', '.join(sorted(known))}", hint=nearest(name, known)
        )
    return known[name]


def _wanted(
    now: EndpointSpec | None, version: ModelVersion, prepared: Prepared, *, name: str, share: float
) -> EndpointSpec:
    """Return the endpoint with `version` at `share` percent; what served last stays loaded for a rollback."""
    from nbmlops.deployment import ArmSpec, EndpointSpec, Limits

    if not (math.isfinite(share) and 0 <= share <= 100):
        raise InvalidInput(f"traffic is {share:g}", expected="a percentage from 0 to 100")
    arm = ArmSpec(
        version=str(version.version),
        model=version.name,
        bundle=prepared.bundle.path,
        digest=prepared.bundle.digest,
        runtime=prepared.bundle.runtime,
        weight=share,
        why=prepared.why,
    )
    if now is None:
        if share != 100:
            raise InvalidInput(
                f"endpoint {name!r} serves nothing yet, and {share:g} % would leave the rest unanswered",
                expected="--traffic 100 for its first version",
            )
        limits = Limits.from_settings()
        return EndpointSpec(name, version.name, (arm,), limits=limits, idle_hours=settings().idle_hours)
    if now.model != version.name:
        raise Refused(
            f"endpoint {name!r} serves {now.model!r}, not {version.name!r}",
            hint=f"Choose another: --endpoint NAME, or take it down first: %undeploy {name}",
        )
    return replace(now, arms=_shared(now, arm))


def _shared(now: EndpointSpec, arm: ArmSpec) -> tuple[ArmSpec, ...]:
    """Return the arms of `now` that carry traffic, scaled into what `arm` leaves, and `arm` itself."""
    others = [other for other in now.arms if other.version != arm.version and other.weight > 0]
    rest, total = 100.0 - arm.weight, sum(other.weight for other in others)
    if not others and rest:
        raise InvalidInput(
            f"{arm.reference} is alone at this endpoint, so {arm.weight:g} % would leave the rest unanswered",
            expected="--traffic 100",
        )
    return (*(replace(other, weight=other.weight * rest / total) for other in others), arm)


def _resources(
    session: Session, version: ModelVersion, *, now: Resources, cpu: float | None, memory: int | None
) -> Resources:
    """Return what was asked for, else what the newest profile of this version recommends, else what there is now."""
    from nbmlops.deployment import Resources

    profiled = session.journal.events("model.profiled", f"model/{version.reference}", limit=1)
    advice: Mapping[str, Any] = profiled[-1].data["report"]["recommendation"] if profiled else {}
    return Resources(
        cpu=cpu if cpu is not None else advice.get("cores", now.cpu),
        memory_mib=memory if memory is not None else advice.get("memory_mib", now.memory_mib),
        workers=advice.get("workers", now.workers),
    )


def _arm(arm: ArmSpec) -> dict[str, Any]:
    """Return what the journal keeps of an arm: no paths, which differ between machines."""
    return {
        "version": arm.version,
        "bundle": arm.digest,
        "runtime": arm.runtime,
        "weight": arm.weight,
        "why": arm.why,
    }
