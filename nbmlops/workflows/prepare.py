"""From a registered version to the bundle that will serve it: which runtime, and why.

ONNX Runtime serves a version only where the saved sample's answers, replayed through the real server started from the
bundle, agree with the fitted object's. Otherwise the model's own runtime serves it, and is replayed in the same way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmlops.core import digests
from nbmlops.core.errors import InvalidObject, Refused
from nbmlops.core.identifiers import new_id
from nbmlops.core.progress import stage
from nbmlops.core.workspace import storage_errors

if TYPE_CHECKING:
    from nbmlops.conversion import Fidelity
    from nbmlops.core.records import ModelVersion
    from nbmlops.deployment import Replay
    from nbmlops.packaging import Bundle
    from nbmlops.registry import Reference
    from nbmlops.workflows.session import Session

CONVERTIBLE = frozenset({"sklearn"})
NOT_SERVED = frozenset({"files"})


@dataclass(frozen=True)
class Prepared:
    """A bundle with the reason for its runtime and what the replay saw.

    Attributes
    ----------
    bundle : Bundle
    why : str
        One sentence: why this runtime serves it.
    replay : mapping
        What the journal keeps of the replay: ``rows``, ``labels_different``, ``max_difference``, ``tolerance``, and
        ``labels_alone`` where the server has no probabilities to compare; empty where no sample was kept.
    """

    bundle: Bundle
    why: str
    replay: Mapping[str, Any]


def prepare(session: Session, version: ModelVersion, *, trust: bool = False) -> Prepared:
    """Return the bundle of `version`, choosing its runtime once and remembering the choice.

    Raises
    ------
    InvalidObject
        When the version is plain files, which nothing can score with.
    Untrusted
        When loading it would run code that this workspace did not register, and `trust` is false.
    Refused
        When even the model's own runtime answers differently from the fitted object.
    """
    check_served(version)
    session.registry.check_trust(version.reference, trust)
    remembered = _recall(session, version)
    if remembered is not None:
        return remembered
    reference = session.registry.reference(version.reference)
    prepared = _converted(session, version, reference, trust=trust)
    if not isinstance(prepared, Prepared):
        prepared = _own_runtime(session, version, reference, because=prepared)
    _remember(session, version, prepared)
    return prepared


def check_served(version: ModelVersion) -> None:
    """Raise InvalidObject where `version` is plain files, which nothing can score with."""
    from nbmlops.registry import UNOPENED

    if version.kind not in NOT_SERVED:
        return
    hint = f"Get the files back with: %download {version.reference} DIR"
    if UNOPENED in version.warnings:
        hint = f"It is a pickle that was {UNOPENED}."
    raise InvalidObject(
        f"{version.reference} is plain files, so there is nothing to send rows to",
        expected="a model with predict, a function, or an ONNX file",
        hint=hint,
    )


def _converted(session: Session, version: ModelVersion, reference: Reference | None, *, trust: bool) -> Prepared | str:
    """Return the ONNX bundle, or one sentence that says why there is none."""
    if version.kind not in CONVERTIBLE:
        return ""
    if reference is None:
        return "no data was given at registration, so a conversion could not be checked"
    from nbmlops.conversion import convert
    from nbmlops.deployment import replay
    from nbmlops.packaging import build_bundle

    stage("converting to ONNX")
    model = session.registry.load(version.reference, trust=trust)
    report = convert(model, session.registry.signature(version.reference), reference)
    if report.onnx is None:
        return report.reason
    bundle = build_bundle(session.registry, version.reference, onnx=report.onnx, workspace=session.workspace)
    stage("replaying the saved sample through the server")
    seen = replay(bundle, reference)
    if not seen.fidelity.agrees:
        return f"served by ONNX Runtime, {_disagreement(seen.fidelity)}"
    return Prepared(bundle, report.reason, _kept(seen))


def _own_runtime(session: Session, version: ModelVersion, reference: Reference | None, *, because: str) -> Prepared:
    from nbmlops.deployment import replay
    from nbmlops.packaging import build_bundle

    bundle = build_bundle(session.registry, version.reference, workspace=session.workspace)
    why = f"Its own runtime: {because}." if because else "Its own runtime."
    if reference is None:
        return Prepared(bundle, why, {})
    stage("replaying the saved sample through the server")
    seen = replay(bundle, reference)
    if not seen.fidelity.agrees:
        raise Refused(
            f"{version.reference} answers differently when it is served: {_disagreement(seen.fidelity)}",
            expected="the fitted object's own answers on the saved sample",
            hint="A model whose answers depend on chance, on time or on rows sent together can't be served so; "
            "register it again without data to serve it unchecked.",
        )
    return Prepared(bundle, why, _kept(seen))


def _disagreement(fidelity: Fidelity) -> str:
    worst = ", ".join(str(row) for row in fidelity.worst)
    return (
        f"{fidelity.labels_different:,} of {fidelity.rows:,} labels differ and values by up to "
        f"{fidelity.max_difference:.2g} (rows {worst} of the saved sample are the worst)"
    )


def _kept(seen: Replay) -> dict[str, Any]:
    """Return what of a replay is kept: counts, never rows."""
    fidelity = seen.fidelity
    return {
        "rows": fidelity.rows,
        "labels_different": fidelity.labels_different,
        "max_difference": fidelity.max_difference,
        "tolerance": fidelity.tolerance,
    } | ({"labels_alone": True} if seen.labels_alone else {})


def _place(session: Session, version: ModelVersion) -> Path:
    """Return where the choice for this version under this code is remembered."""
    from nbmlops.serving import serving_digest

    key = digests.of_json(
        [version.reference, version.run_id, version.digest, version.environment_id, serving_digest(), sys.version]
    )
    return session.workspace.cache / "prepared" / f"{key.removeprefix(digests.PREFIX)}.json"


def _recall(session: Session, version: ModelVersion) -> Prepared | None:
    from nbmlops.packaging import verify

    place = _place(session, version)
    try:
        facts = json.loads(place.read_text())
        folder = session.workspace.bundles / facts["bundle"].removeprefix(digests.PREFIX)
    except (FileNotFoundError, ValueError, KeyError):
        return None  # never chosen, or half a file: choose again
    if not folder.is_dir():
        return None  # the bundle was cleared away: build it again
    return Prepared(verify(folder), facts["why"], facts["replay"])


def _remember(session: Session, version: ModelVersion, prepared: Prepared) -> None:
    place = _place(session, version)
    facts = {"bundle": prepared.bundle.digest, "why": prepared.why, "replay": dict(prepared.replay)}
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_suffix(f".{new_id()}")
        unfinished.write_text(json.dumps(facts))
        unfinished.replace(place)
