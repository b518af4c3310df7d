"""Plan a deployment, show it, and carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from nbmlops.core.progress import stage
from nbmlops.workflows.applying import asked_for, check_same, keep, recall
from nbmlops.workflows.parameters import (
    Duration,
    EndpointName,
    Optimized,
    Parameter,
    Percents,
    Provider,
    Quantized,
    Reason,
    Trust,
)
from nbmlops.workflows.planning import Asked, Planned, planned
from nbmlops.workflows.session import Session, check_reason, reconciled

if TYPE_CHECKING:
    from nbmlops.deployment import DeploymentPlan, Endpoint

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
Rules = Annotated[
    Sequence[str],
    Parameter(
        "The guardrails to keep, where all are too many: some of errors,latency,shift.",
        "RULE,…",
        read=lambda word, names: tuple(part.strip() for part in word.split(",") if part.strip()),
        option="guardrails",
    ),
]
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
Digest = Annotated[
    str,
    Parameter(
        "Carry out the plan that was shown under this digest, or refuse what has moved since.",
        "DIGEST",
        completes="plan",
    ),
]
Proved = Annotated[bool, Parameter("Replay the saved rows in this kernel alone, not in a fresh environment.")]
Fetch = Annotated[bool, Parameter("Let uv fetch packages of the lock that are neither installed here nor cached.")]
AnyEnvironment = Annotated[
    bool, Parameter("Serve it although other packages are installed than its lock pins; kept in the journal.")
]
Explained = Annotated[bool, Parameter("Also answer /explain with each column's contributions: linear models alone.")]
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
    rules: Rules | None = None,
    combine: Combined = "mean",
    capture: Captured | None = None,
    sample: Sampled | None = None,
    redact: Redacted | None = None,
    port: Port | None = None,
    plan: PlanOnly = False,
    apply: Digest | None = None,
    auth: Auth = True,
    proof: Proved = True,
    fetch: Fetch = False,
    any_environment: AnyEnvironment = False,
    quantize: Quantized = False,
    optimize: Optimized | None = None,
    provider: Provider | None = None,
    explain: Explained = False,
    trust: Trust = False,
    reason: Reason | None = None,
) -> Endpoint | DeploymentPlan:
    """Serve a model version behind a local HTTP endpoint.

    It is proved first: the real server is started in a fresh environment made from the version's lock, and the saved
    sample is replayed through it. ONNX Runtime serves the version only where its answers equal the fitted object's, and
    the version's own runtime otherwise. Requests in flight are never dropped. While a new version shares the traffic
    with what served before, guardrails compare their error rates, latencies and predictions, and return the traffic by
    themselves where the new one is worse.

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
    rules : sequence of str, optional
        The guardrails to keep: some of ``errors``, ``latency`` and ``shift``. By default all.
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
    apply : str, optional
        Digest of a plan that was shown, or its beginning: exactly that is done, with the options that it was made
        with, or it is refused because something moved since.
    auth : bool, default True
        False opens the endpoint to every user of this machine.
    proof : bool, default True
        False skips the proof: the rows are replayed in this kernel's environment alone.
    fetch : bool, default False
        Let the proof fetch packages of the lock that are neither installed here nor in uv's cache.
    any_environment : bool, default False
        Serve the version although other packages are installed where it is served than its bundle pins.
    quantize : bool, default False
        Hold a network's weights in eight bits; refused where its answers then differ from the fitted object's.
    optimize : {"basic", "extended"}, optional
        Simplify the graph once, here, and not at every load.
    provider : str, optional
        What ONNX Runtime computes on, such as ``cuda``; the CPU by default.
    explain : bool, default False
        Answer ``/explain`` too, where the model is linear: what each column adds, held against the answer itself.
    trust : bool, default False
        Serve a version that this workspace did not register.
    reason : str, optional

    Returns
    -------
    Endpoint or DeploymentPlan

    Raises
    ------
    Refused
        The served answers differ from the fitted object's, the endpoint serves another model, the members of an
        ensemble take different columns, other packages are installed than the bundle pins, or what `apply` names is
        no longer what would be done.
    EndpointError
        The server does not start; its last lines are in the message. What served before still serves.
    """
    given = dict(locals())
    check_reason("deploy", reason)
    session = reconciled()
    asked = Asked.of(given)
    if plan:
        return _shown(session, asked, trust=trust)
    return _carried(session, asked, apply, trust=trust, reason=reason)


def _shown(session: Session, asked: Asked, *, trust: bool) -> DeploymentPlan:
    """Return the plan, which is kept by its digest and can apply itself."""
    made = planned(session, asked, trust=trust, later=True)
    keep(session, made)

    def carry(reason: str | None) -> Endpoint:
        check_reason("deploy", reason)
        return _carried(reconciled(), asked, made.plan.digest, trust=trust, reason=reason)

    return replace(made.plan, carry=carry)


def _carried(session: Session, asked: Asked, digest: str | None, *, trust: bool, reason: str | None) -> Endpoint:
    """Deploy what is asked for, where a digest is given only if it still stands for that."""
    if digest is None:
        return _apply(session, planned(session, asked, trust=trust), reason=reason)
    kept = recall(session, digest)
    asked = asked if kept is None else asked_for(kept, asked)
    check_same(digest, kept, planned(session, asked, trust=trust, later=True).plan)  # before a proof, which takes long
    made = planned(session, asked, trust=trust)
    check_same(digest, kept, made.plan)
    return _apply(session, made, reason=reason)


def _apply(session: Session, made: Planned, *, reason: str | None) -> Endpoint:
    from nbmlops.deployment import endpoint as open_endpoint
    from nbmlops.deployment import for_journal

    planned, ready = made.plan, made.ready
    spec, name = planned.spec, ready.endpoint
    about = {"endpoint": name, "model": spec.model, "version": ready.arm.version, "plan": planned.digest}
    with session.journal.operation("endpoint.deployed", f"endpoint/{name}", about, reason=reason) as operation:
        stage(f"starting {ready.reference} behind {name}")
        status = made.place.apply(planned)
        operation.done(
            **about,
            target=made.place.name,
            url=status.url,
            traffic=spec.traffic,
            shadows=spec.shadows,
            arms=[for_journal(arm) for arm in spec.arms],
            resources=spec.resources.to_dict(),
            replay=dict(ready.replay),
            proof=ready.arm.is_proved,
            environments={version: dict(said) for version, said in status.environments.items()},
            revision=status.revision,
        )
    return open_endpoint(session.workspace, session.journal, name)
