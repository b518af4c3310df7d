"""Plan a deployment, show it, and carry it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.core.progress import stage
from nbmlops.core.references import check_name, nearest
from nbmlops.workflows.arranging import Wish, arranged, captured, check_redacted
from nbmlops.workflows.ensembles import is_ensemble, parse, prepare_ensemble
from nbmlops.workflows.parameters import Duration, EndpointName, Parameter, Percents, Reason, Trust
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.session import Session, check_reason, reconciled

if TYPE_CHECKING:
    from nbmlops.deployment import ArmSpec, DeploymentPlan, Endpoint, Resources, Target

DeployRef = Annotated[
    str,
    Parameter(
        "A model version (name/3, name@alias, or name for the newest), or an ensemble with weights: a/3:3+b/1:1.",
        "REF",
        completes="model",
    ),
]
TargetName = Annotated[str, Parameter("Where to: local.", "TARGET")]
Cpu = Annotated[float, Parameter("Cores to keep it on (soft: CPU affinity).", "CORES")]
Memory = Annotated[int, Parameter("MiB of memory after which a process is replaced (soft: a watchdog).", "MIB")]
Workers = Annotated[int, Parameter("Scorer processes; they share the port.", "N")]
Share = Annotated[
    float, Parameter("Percent of the traffic for this version (100); the others keep the rest.", "PERCENT")
]
Shadow = Annotated[
    float, Parameter("Percent of the requests that it gets a copy of, while no caller sees its answers.", "PERCENT")
]
Steps = Annotated[Percents, Parameter("Shares to grow through while the guardrails hold: 5,25,50,100.")]
Hold = Annotated[Duration, Parameter("How long each step of --progressive lasts at least: 30s, 10m, 2h.")]
Guarded = Annotated[bool, Parameter("Let no guardrail return the traffic by itself.")]
Combined = Annotated[str, Parameter("How an ensemble's answers become one: mean or vote.", "HOW")]
Captured = Annotated[str, Parameter("Keep the traffic: on, strict (before it answers) or off.", "MODE")]
Sampled = Annotated[float, Parameter("Share of the requests that are kept, up to 1.", "SHARE")]
Redacted = Annotated[
    tuple[str, ...],
    Parameter(
        "A column that is never written; may be repeated.",
        "COLUMN",
        read=lambda words, names: tuple(words),
        many=True,
    ),
]
Port = Annotated[int, Parameter("Port to listen on; by default a free one, kept for the endpoint's life.", "PORT")]
PlanOnly = Annotated[bool, Parameter("Show the plan and change nothing.")]
Auth = Annotated[bool, Parameter("Serve without a token: every user of this machine may call it.")]


def deploy(  # noqa: PLR0913 - one option each of the public surface
    ref: DeployRef,
    *,
    endpoint: EndpointName | None = None,
    target: TargetName = "local",
    cpu: Cpu | None = None,
    memory: Memory | None = None,
    workers: Workers | None = None,
    traffic: Share | None = None,
    shadow: Shadow | None = None,
    progressive: Steps | None = None,
    hold: Hold = "10m",
    guardrails: Guarded = True,
    combine: Combined = "mean",
    capture: Captured | None = None,
    sample: Sampled | None = None,
    redact: Redacted | None = None,
    port: Port | None = None,
    plan: PlanOnly = False,
    auth: Auth = True,
    trust: Trust = False,
    reason: Reason | None = None,
) -> Endpoint | DeploymentPlan:
    """Serve a model version behind a local HTTP endpoint.

    The saved sample is replayed through the real server first: ONNX Runtime serves the version only where its answers
    equal the fitted object's, and the version's own runtime otherwise. Requests in flight are never dropped. While a
    new version shares the traffic with what served before, guardrails compare their error rates, latencies and
    predictions, and return the traffic by themselves where the new one is worse.

    Parameters
    ----------
    ref : str
        A model version, or an ensemble: ``a/3:3+b/1:1`` with weights 3 and 1.
    endpoint : str, optional
        By default the model's name.
    target : str, default "local"
    cpu : float, cores, optional
        By default what the last profile of this version recommends.
    memory : int, MiB, optional
        Likewise.
    workers : int, optional
        Likewise: scorer processes.
    traffic : float, percent, optional
        This version's share, 100 by default; what the endpoint serves already keeps the rest, in its own proportion.
    shadow : float, percent, optional
        Send it copies of that share of the requests instead; no caller sees its answers.
    progressive : sequence of float, percent, optional
        Begin with the first share and go on to the next ones, each after `hold` and while the guardrails hold.
    hold : float or str, seconds, default "10m"
    guardrails : bool, default True
        False judges no version.
    combine : {"mean", "vote"}
        How the answers of an ensemble's members become one.
    capture : {"on", "strict", "off"}, optional
        Keep the traffic; ``strict`` commits it before it answers. By default as it is, and on for a new endpoint.
    sample : float, optional
        Share of the requests that are kept, up to 1.
    redact : sequence of str, optional
        Columns that are never written.
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
        The served answers differ from the fitted object's, the endpoint serves another model, or the members of an
        ensemble take different columns.
    EndpointError
        The server does not start; its last lines are in the message. What served before still serves.
    """
    check_reason("deploy", reason)
    session = reconciled()
    place = _target(session, target)
    wish = Wish(traffic, shadow, progressive, hold, guardrails)
    ready = _ready(session, ref, endpoint, place=place, combine=combine, trust=trust)
    spec = arranged(place.spec(ready.endpoint), ready.arm, wish, name=ready.endpoint)
    resources = _resources(session, ready.reference, now=spec.resources, asked=(cpu, memory, workers))
    check_redacted(redact or (), ready.arm.bundle)
    kept = captured(spec.capture, is_new=place.spec(ready.endpoint) is None, asked=(capture, sample, redact))
    planned = place.plan(replace(spec, resources=resources, port=port or spec.port, auth=auth, capture=kept))
    return planned if plan else _apply(session, place, planned, ready=ready, reason=reason)


@dataclass(frozen=True)
class Ready:
    """What is to be deployed, prepared."""

    arm: ArmSpec
    endpoint: str
    reference: str
    replay: Mapping[str, Any]


def _ready(session: Session, ref: str, endpoint: str | None, *, place: Target, combine: str, trust: bool) -> Ready:
    """Return a model version or an ensemble with its bundles, and the name of its endpoint."""
    if is_ensemble(ref):
        return _ready_ensemble(session, ref, endpoint, place=place, combine=combine, trust=trust)
    from nbmlops.deployment import ArmSpec

    version = session.registry.version(ref)
    name = check_name(endpoint or version.name, "endpoint name")
    prepared = prepare(session, version, trust=trust)
    bundle = prepared.bundle
    arm = ArmSpec(
        version=str(version.version),
        model=version.name,
        bundle=bundle.path,
        digest=bundle.digest,
        runtime=bundle.runtime,
        why=prepared.why,
    )
    return Ready(arm, name, version.reference, prepared.replay)


def _ready_ensemble(
    session: Session, ref: str, endpoint: str | None, *, place: Target, combine: str, trust: bool
) -> Ready:
    models = {session.registry.version(member.ref).name for member in parse(ref)}
    own = models.pop() if len(models) == 1 else None
    if endpoint is None and own is None:
        raise InvalidInput(
            f"the ensemble {ref!r} is of several models, so its endpoint has no name of itself",
            expected="--endpoint NAME",
        )
    name = check_name(endpoint or str(own), "endpoint name")
    now = place.spec(name)
    model = now.model if now else own or name
    arm, prepared = prepare_ensemble(session, ref, combine=combine, model=model, trust=trust)
    return Ready(arm, name, arm.reference, prepared.replay)


def _apply(session: Session, place: Target, planned: DeploymentPlan, *, ready: Ready, reason: str | None) -> Endpoint:
    from nbmlops.deployment import endpoint as open_endpoint
    from nbmlops.deployment import for_journal

    spec, name = planned.spec, ready.endpoint
    about = {"endpoint": name, "model": spec.model, "version": ready.arm.version, "plan": planned.digest}
    with session.journal.operation("endpoint.deployed", f"endpoint/{name}", about, reason=reason) as operation:
        stage(f"starting {ready.reference} behind {name}")
        status = place.apply(planned)
        operation.done(
            **about,
            target=place.name,
            url=status.url,
            traffic=spec.traffic,
            shadows=spec.shadows,
            arms=[for_journal(arm) for arm in spec.arms],
            resources=spec.resources.to_dict(),
            replay=dict(ready.replay),
            revision=status.revision,
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


def _resources(
    session: Session, reference: str, *, now: Resources, asked: tuple[float | None, int | None, int | None]
) -> Resources:
    """Return what was asked for, else what the newest profile of this version recommends, else what there is now."""
    from nbmlops.deployment import Resources

    cpu, memory, workers = asked
    profiled = session.journal.events("model.profiled", f"model/{reference}", limit=1)
    advice: Mapping[str, Any] = profiled[-1].data["report"]["recommendation"] if profiled else {}
    return Resources(
        cpu=cpu if cpu is not None else advice.get("cores", now.cpu),
        memory_mib=memory if memory is not None else advice.get("memory_mib", now.memory_mib),
        workers=workers if workers is not None else advice.get("workers", now.workers),
    )
