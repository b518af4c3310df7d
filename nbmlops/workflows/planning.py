"""From what a deployment asks for to its plan: bundles prepared, the endpoint arranged, nothing started for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from nbmlops.core.display import short
from nbmlops.core.errors import InvalidInput, NotFound, Refused
from nbmlops.core.records import Record
from nbmlops.core.references import check_name, nearest
from nbmlops.core.settings import settings
from nbmlops.workflows.arranging import Wish, arranged, captured, check_redacted
from nbmlops.workflows.ensembles import is_ensemble, parse, prepare_ensemble
from nbmlops.workflows.explain import state_terms
from nbmlops.workflows.prepare import prepare
from nbmlops.workflows.session import Session

if TYPE_CHECKING:
    from nbmlops.core.records import ModelVersion
    from nbmlops.deployment import ArmSpec, DeploymentPlan, Resources, Target
    from nbmlops.packaging import Bundle


@dataclass(frozen=True)
class Asked(Record):
    """What a deployment asks for, as the options of the verb say it."""

    ref: str
    endpoint: str | None = None
    target: str = "local"
    cpu: float | None = None
    memory: int | None = None
    workers: int | None = None
    traffic: float | None = None
    shadow: float | None = None
    progressive: tuple[float, ...] | None = None
    hold: float | str = "10m"
    guardrails: bool = True
    rules: tuple[str, ...] | None = None
    combine: str = "mean"
    capture: str | None = None
    sample: float | None = None
    redact: tuple[str, ...] | None = None
    port: int | None = None
    auth: bool = True
    proof: bool = True
    fetch: bool = False
    any_environment: bool = False
    quantize: bool = False
    optimize: str | None = None
    provider: str | None = None
    explain: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Asked:
        """Return what the options of a deployment ask for; those that say how it is carried out are passed over."""
        known: dict[str, Any] = {}
        for one in fields(cls):
            value = options[one.name]
            known[one.name] = tuple(value) if isinstance(value, list) else value
        return cls(**known)

    def checks(self, later: bool) -> dict[str, Any]:
        """How its bundles are made and checked: a plan leaves the proof to what carries it out."""
        from nbmlops.conversion import Options

        options = Options(self.quantize, self.optimize or "", self.provider or "")
        proof = self.proof and settings().proof
        return {"proof": proof, "fetch": self.fetch, "later": later, "options": options}

    @property
    def wish(self) -> Wish:
        """How the version is to be rolled out."""
        return Wish(self.traffic, self.shadow, self.progressive, self.hold, self.guardrails, self.rules)


@dataclass(frozen=True)
class Ready:
    """What is to be deployed, prepared.

    Attributes
    ----------
    arm : ArmSpec
    endpoint, reference : str
    replay : mapping
        What was seen when the saved sample was replayed.
    """

    arm: ArmSpec
    endpoint: str
    reference: str
    replay: Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """A plan with what it was made of."""

    asked: Asked
    place: Target
    ready: Ready
    plan: DeploymentPlan


def planned(session: Session, asked: Asked, *, trust: bool = False, later: bool = False) -> Planned:
    """Return the plan of a deployment: its bundles are built, its endpoint is left alone.

    Raises
    ------
    InvalidInput
        What is asked for contradicts itself.
    Refused
        The served answers differ from the fitted object's, or the endpoint serves another model.
    """
    place = _target(session, asked.target)
    ready = _ready(session, asked, place, trust=trust, later=later)
    now = place.spec(ready.endpoint)
    ready = replace(ready, arm=replace(ready.arm, any_environment=asked.any_environment))
    spec = arranged(now, ready.arm, asked.wish, name=ready.endpoint)
    resources = _resources(session, ready.reference, now=spec.resources, asked=(asked.cpu, asked.memory, asked.workers))
    check_redacted(asked.redact or (), ready.arm.bundle)
    kept = captured(spec.capture, is_new=now is None, asked=(asked.capture, asked.sample, asked.redact))
    port = asked.port or spec.port
    if asked.explain:
        state_terms(session, ready.reference, ready.arm.bundle, trust=trust)
    spec = replace(spec, resources=resources, port=port, auth=asked.auth, capture=kept, explain=asked.explain)
    plan = place.plan(spec)
    return Planned(asked, place, ready, replace(plan, told=_told(ready)))


def _ready(session: Session, asked: Asked, place: Target, *, trust: bool, later: bool) -> Ready:
    """Return a model version or an ensemble with its bundles, and the name of its endpoint."""
    if is_ensemble(asked.ref):
        return _ready_ensemble(session, asked, place, trust=trust, later=later)
    from nbmlops.deployment import ArmSpec

    version = session.registry.version(asked.ref)
    name = check_name(asked.endpoint or version.name, "endpoint name")
    prepared = prepare(session, version, trust=trust, **asked.checks(later))
    bundle = prepared.bundle
    check_environment(version, bundle)
    arm = ArmSpec(
        version=str(version.version),
        model=version.name,
        bundle=bundle.path,
        digest=bundle.digest,
        runtime=bundle.runtime,
        why=prepared.why,
        python=prepared.python,
    )
    return Ready(arm, name, version.reference, prepared.replay)


def _ready_ensemble(session: Session, asked: Asked, place: Target, *, trust: bool, later: bool) -> Ready:
    models = {session.registry.version(member.ref).name for member in parse(asked.ref)}
    own = models.pop() if len(models) == 1 else None
    if asked.endpoint is None and own is None:
        raise InvalidInput(
            f"the ensemble {asked.ref!r} is of several models, so its endpoint has no name of itself",
            expected="--endpoint NAME",
        )
    name = check_name(asked.endpoint or str(own), "endpoint name")
    now = place.spec(name)
    model = now.model if now else own or name
    arm, prepared = prepare_ensemble(
        session, asked.ref, combine=asked.combine, model=model, trust=trust, **asked.checks(later)
    )
    return Ready(arm, name, arm.reference, prepared.replay)


def check_environment(version: ModelVersion, bundle: Bundle) -> None:
    """Refuse a bundle that names another environment than the run that made the model.

    Raises
    ------
    Refused
    """
    named = str(bundle.manifest.get("environment_id") or "")
    if version.environment_id and named != version.environment_id:
        raise Refused(
            f"{version.reference} was made in environment {short(version.environment_id)}, and its bundle names "
            f"{short(named) or 'none'}",
            hint="What was captured at its registration was changed: register the model again.",
        )


def _told(ready: Ready) -> dict[str, str]:
    """Return what a plan tells beside its changes: why this runtime, and what was checked."""
    from nbmlops.packaging import attestations, read_bundle

    stated = attestations(read_bundle(ready.arm.bundle))
    told = {"runtime": f"{ready.arm.runtime}; {ready.arm.why}", "replayed": _replayed(ready.replay)}
    if rung := stated.get("certificate", {}).get("rung"):
        told["conversion"] = f"certified at rung {rung}"
    told["installed here"] = _installed(ready.arm)
    told["proof"] = str(stated.get("proof", {}).get("says", "comes first")) if ready.arm.is_proved else "skipped"
    return {what: text for what, text in told.items() if text}


def _installed(arm: ArmSpec) -> str:
    """Return whether processes that start now have what the bundles pin."""
    from nbmlops.serving.pins import compared, find_installed

    found = {model.reference: compared(model.bundle, find_installed).differs for model in arm.models.values()}
    differs = "; ".join(f"{reference}: {one}" for reference, several in found.items() for one in several)
    if differs and arm.is_proved:
        return f"{differs}; so it is served in an environment of its own"
    return differs or "as locked"


def _replayed(replay: Mapping[str, Any]) -> str:
    if "max_difference" not in replay:
        return "" if "members" in replay else "nothing: no rows were kept at its registration"
    found = replay["max_difference"]
    return f"{replay['rows']:,} rows, {f'values within {found:.1g}' if found else 'every answer equal'}"


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
