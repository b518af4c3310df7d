"""Plans that were shown: kept by their digest, so that one can be carried out later exactly, or refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nbmlops.core import digests
from nbmlops.core.display import short
from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.core.identifiers import new_id
from nbmlops.core.workspace import storage_errors
from nbmlops.workflows.candidates import PLANS
from nbmlops.workflows.planning import Asked, Planned
from nbmlops.workflows.session import Session

if TYPE_CHECKING:
    from nbmlops.deployment import DeploymentPlan

FORMAT = 1
LEAST = 8  # hexadecimal digits by which a plan may be called


@dataclass(frozen=True)
class Kept:
    """A plan that was shown, and what it was asked with."""

    asked: Asked
    plan: DeploymentPlan


def keep(session: Session, made: Planned) -> None:
    """Keep a plan that is shown: a cache, so neither the journal nor any endpoint knows of it."""
    from nbmlops.deployment.storing import encode

    home, plan = session.workspace.home, made.plan
    facts = {
        "format": FORMAT,
        "digest": plan.digest,
        "target": plan.target,
        "running": plan.running,
        "asked": made.asked.to_dict(),
        "spec": encode(plan.spec, home),
        "current": None if plan.current is None else encode(plan.current, home),
    }
    place = _folder(session) / f"{plan.digest.removeprefix(digests.PREFIX)}.json"
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_suffix(f".{new_id()}")
        unfinished.write_text(json.dumps(facts))
        unfinished.replace(place)


def recall(session: Session, digest: str) -> Kept | None:
    """Return the plan that was shown under a digest or the beginning of one, None where this workspace knows none.

    Raises
    ------
    InvalidInput
        `digest` is none, or plans that were shown share this beginning.
    """
    begins = digest.strip().removeprefix(digests.PREFIX)
    if len(begins) < LEAST or not set(begins) <= set("0123456789abcdef"):
        raise InvalidInput(
            f"{digest!r} is no digest of a plan",
            expected=f"sha256:… as the plan shows it, or at least {LEAST} of its hexadecimal digits",
        )
    found = sorted(_folder(session).glob(f"{begins}*.json"))
    if len(found) > 1:
        raise InvalidInput(f"{len(found)} plans begin with {begins!r}", expected="more of its digits")
    return _read(session, found[0]) if found else None


def asked_for(kept: Kept, given: Asked) -> Asked:
    """Return what a kept plan was asked with, unless other options are given beside its digest.

    Raises
    ------
    InvalidInput
        Naming the option that differs.
    """
    for one in fields(Asked):
        said, was = getattr(given, one.name), getattr(kept.asked, one.name)
        if said not in (one.default, was):
            raise InvalidInput(
                f"{one.name} is {said!r}, and the plan was made with {was!r}",
                expected="the reference and the digest alone: the plan says the rest",
                hint="To deploy something else, plan it first: %deploy REF --plan",
            )
    return kept.asked


def check_same(digest: str, kept: Kept | None, now: DeploymentPlan) -> None:
    """Refuse to go on where what would be done now is not what `digest` stands for.

    Raises
    ------
    Refused
        Naming what moved since, where the plan is known.
    """
    if kept is not None and now.digest != kept.plan.digest:
        from nbmlops.deployment.plan import stale

        raise stale(kept.plan, now)
    if not now.digest.removeprefix(digests.PREFIX).startswith(digest.strip().removeprefix(digests.PREFIX)):
        raise Refused(
            f"no plan {digest} was shown in this workspace, and what would be done now is another, {short(now.digest)}",
            expected="the digest that %deploy REF --plan shows for the same options",
        )


def _folder(session: Session) -> Path:
    return session.workspace.cache / PLANS


def _read(session: Session, place: Path) -> Kept | None:
    from nbmlops.core.errors import Corrupt
    from nbmlops.deployment import DeploymentPlan
    from nbmlops.deployment.storing import decode

    home = session.workspace.home
    try:
        facts: dict[str, Any] = json.loads(place.read_text())
        asked = msgspec.convert(facts["asked"], Asked)
        current = None if facts["current"] is None else decode(facts["current"], home)
        plan = DeploymentPlan(
            decode(facts["spec"], home),
            facts["target"],
            (),
            facts["digest"],
            current=current,
            running=facts["running"],
        )
    except (OSError, ValueError, KeyError, Corrupt):
        return None  # written by another version: what is asked for is planned anew, and compared by its digest
    return Kept(asked, plan)
