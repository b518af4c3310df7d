"""From a registered version to the bundle that will serve it: which runtime, and why.

ONNX Runtime serves a version only where the saved sample's answers, replayed through the real server started from the
bundle, agree with the fitted object's. Otherwise the model's own runtime serves it, and is replayed in the same way.
A proof replays them in a fresh environment made from the bundle's lock; without one it is done in this kernel's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nbmlops.core import digests
from nbmlops.core.errors import InvalidObject, Refused
from nbmlops.core.identifiers import new_id
from nbmlops.core.progress import stage
from nbmlops.core.workspace import storage_errors
from nbmlops.workflows.certifying import attested, certified, journalled

if TYPE_CHECKING:
    from nbmlops.conversion import ConversionReport, Options
    from nbmlops.core.records import ModelVersion
    from nbmlops.packaging import Bundle
    from nbmlops.registry import Reference
    from nbmlops.workflows.session import Session

CONVERTIBLE = frozenset({"sklearn", "xgboost", "lightgbm", "catboost", "torch"})
NOT_SERVED = frozenset({"files"})
ONNX = "onnx"  # the kind of what was in ONNX already when it was registered
OF_A_PROOF = frozenset({"proved", "environment", "identical", "ulps"})  # attested beside the bundle


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
        ``labels_alone`` where the server has no probabilities to compare; ``proved`` where it was a proof; empty where
        there was none and no sample was kept.
    python : str
        Path of the interpreter that it is proved with; empty for that of the kernel.
    """

    bundle: Bundle
    why: str
    replay: Mapping[str, Any]
    python: str = ""


class Checked(Protocol):
    """What a replay or a proof saw."""

    @property
    def agrees(self) -> bool: ...

    @property
    def says(self) -> str: ...

    def kept(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Checking:
    """How the answers of a bundle are checked: in a fresh environment, or in this kernel's.

    Attributes
    ----------
    proof : bool
        Whether it is served in an environment of its own.
    fetch : bool
        Let uv fetch what that environment lacks.
    later : bool
        Whether the proof is left to another time.
    options : Options or None
        What is to be done to a converted model.
    """

    session: Session
    version: ModelVersion
    reference: Reference | None
    proof: bool
    fetch: bool
    later: bool
    options: Options | None = None

    def check(self, bundle: Bundle) -> Checked | None:
        """Return what was seen; None where nothing could be compared."""
        if self.proof and not self.later:
            from nbmlops.workflows.proof import proved

            return proved(self.session, self.version, bundle, reference=self.reference, fetch=self.fetch)
        if self.reference is None:
            return None
        from nbmlops.deployment import replay

        stage("replaying the saved sample through the server")
        return replay(bundle, self.reference)

    def prepared(self, bundle: Bundle, why: str, kept: Mapping[str, Any]) -> Prepared:
        """Return the bundle with what was seen of it, and where it is proved."""
        if not self.proof:
            return Prepared(bundle, why, kept)
        from nbmlops.packaging.venv import interpreter

        return Prepared(bundle, why, kept, str(interpreter(bundle)))

    def refusal(self, bundle: Bundle, seen: Checked) -> Refused:
        """Return why a bundle that answers differently is refused."""
        from nbmlops.workflows.proof import refuse

        return refuse(self.session, self.version, bundle, seen=seen, reference=self.reference)


def prepare(
    session: Session,
    version: ModelVersion,
    *,
    trust: bool = False,
    proof: bool = False,
    fetch: bool = False,
    later: bool = False,
    options: Options | None = None,
) -> Prepared:
    """Return the bundle of `version`, choosing its runtime once and remembering the choice.

    Parameters
    ----------
    session : Session
    version : ModelVersion
    trust : bool, default False
        Load a version that this workspace did not register.
    proof : bool, default False
        Prove the bundle in a fresh environment.
    fetch : bool, default False
        Let uv fetch what that environment lacks.
    later : bool, default False
        Leave the proof to another time: a plan names the environment, and what is done then makes it.
    options : Options, optional
        What is to be done to the converted model; the fitted object does not serve in its stead.

    Raises
    ------
    InvalidObject
        When the version is plain files, which nothing can score with.
    Untrusted
        When loading it would run code that this workspace did not register, and `trust` is false.
    Refused
        When even the model's own runtime answers differently from the fitted object, the proof finds that something
        is missing, or `options` can't be had.
    """
    check_served(version)
    session.registry.check_trust(version.reference, trust)
    reference = session.registry.reference(version.reference)
    checking = Checking(session, version, reference, proof, fetch, later, options or None)
    prepared = _remembered(checking) or _chosen(checking, trust=trust)
    if not later:
        journalled(session, version, prepared.bundle)
    return prepared


def _remembered(checking: Checking) -> Prepared | None:
    """Return the choice that was made before, unless a proof finds now that it does not agree."""
    remembered = _recall(checking)
    if remembered is None:
        return None
    seen = checking.check(remembered.bundle) if checking.proof and not checking.later else None
    if seen is not None and not seen.agrees:
        return None
    kept = remembered.replay if seen is None else seen.kept()
    return checking.prepared(remembered.bundle, remembered.why, kept)


def _chosen(checking: Checking, *, trust: bool) -> Prepared:
    """Choose a runtime, and remember it."""
    report = _report(checking, trust=trust)
    facts = {} if isinstance(report, str) else certified(checking.session, checking.version, report)
    prepared = report if isinstance(report, str) else _converted(checking, report)
    instead = ""
    if not isinstance(prepared, Prepared):
        instead = prepared if facts.get("chosen") else ""
        prepared = _own_runtime(checking, because=prepared)
    attested(prepared.bundle, facts, instead=instead)
    _remember(checking, prepared)
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


def _report(checking: Checking, *, trust: bool) -> ConversionReport | str:
    """Return what came of a conversion, or one sentence that says why none was tried."""
    session, version, reference = checking.session, checking.version, checking.reference
    if version.kind not in CONVERTIBLE:
        return ""
    if reference is None:
        return "no data was given at registration, so a conversion could not be checked"
    from nbmlops.conversion import convert

    stage("converting to ONNX")
    try:
        model = session.registry.load(version.reference, trust=trust)
    except ImportError as error:  # a package that its own environment has, and this kernel lacks
        return f"it can't be loaded here to be converted: {error}".rstrip(".")
    return convert(model, session.registry.signature(version.reference), reference, options=checking.options)


def _converted(checking: Checking, report: ConversionReport) -> Prepared | str:
    """Return the ONNX bundle, or one sentence that says why there is none."""
    from nbmlops.packaging import build_bundle

    if report.onnx is None:
        return report.reason
    session, version = checking.session, checking.version
    bundle = build_bundle(session.registry, version.reference, onnx=report.onnx, workspace=session.workspace)
    seen = checking.check(bundle)
    if seen is not None and not seen.agrees:
        return f"served by ONNX Runtime, {seen.says}"
    return checking.prepared(bundle, report.reason, {} if seen is None else seen.kept())


def _own_runtime(checking: Checking, *, because: str) -> Prepared:
    from nbmlops.packaging import build_bundle

    session, version = checking.session, checking.version
    provider = _provider(checking, because)
    bundle = build_bundle(session.registry, version.reference, workspace=session.workspace, provider=provider)
    why = f"Its own runtime: {because}." if because else "Its own runtime."
    seen = checking.check(bundle)
    if seen is not None and not seen.agrees:
        raise checking.refusal(bundle, seen)
    return checking.prepared(bundle, why, {} if seen is None else seen.kept())


def _provider(checking: Checking, because: str) -> str:
    """Return what a version that is not converted is to be computed on.

    Raises
    ------
    Refused
        Something is asked for that only a converted model could have.
    """
    options, version = checking.options, checking.version
    if options is None:
        return ""
    if version.kind == ONNX and not (options.quantize or options.optimize):
        return options.provider
    why = because or ("it is registered in ONNX, and stays as it is" if version.kind == ONNX else "it is not converted")
    raise Refused(
        f"{version.reference} can't be served with {options}: {why}",
        hint="Without that option it is served as it is.",
    )


def _place(checking: Checking) -> Path:
    """Return where the choice for this version under this code, and with these options, is remembered."""
    from nbmlops.serving import serving_digest

    session, version, options = checking.session, checking.version, checking.options
    known = [version.reference, version.run_id, version.digest, version.environment_id, serving_digest(), sys.version]
    key = digests.of_json(known if options is None else [*known, options.to_dict()])
    return session.workspace.cache / "prepared" / f"{key.removeprefix(digests.PREFIX)}.json"


def _recall(checking: Checking) -> Prepared | None:
    from nbmlops.packaging import verify

    session = checking.session
    place = _place(checking)
    try:
        facts = json.loads(place.read_text())
        folder = session.workspace.bundles / facts["bundle"].removeprefix(digests.PREFIX)
    except (FileNotFoundError, ValueError, KeyError):
        return None  # never chosen, or half a file: choose again
    if not folder.is_dir():
        return None  # the bundle was cleared away: build it again
    return Prepared(verify(folder), facts["why"], facts["replay"])


def _remember(checking: Checking, prepared: Prepared) -> None:
    place = _place(checking)
    replay = {name: found for name, found in prepared.replay.items() if name not in OF_A_PROOF}
    facts = {"bundle": prepared.bundle.digest, "why": prepared.why, "replay": replay}
    with storage_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_suffix(f".{new_id()}")
        unfinished.write_text(json.dumps(facts))
        unfinished.replace(place)
