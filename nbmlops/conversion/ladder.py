"""The ladder: rung after rung of one converter after another, until one is faithful and quick enough."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nbmlops.conversion import options as settings
from nbmlops.conversion.estimators import as_fitted
from nbmlops.conversion.failing import failures, one_line
from nbmlops.conversion.fidelity import Fidelity
from nbmlops.conversion.judging import Finding, judge
from nbmlops.conversion.known import KNOWN, Known, refusal
from nbmlops.conversion.rungs import RUNGS
from nbmlops.conversion.seam import Converter, rungs_of
from nbmlops.conversion.speed import SIZES, Speed, speed
from nbmlops.core.progress import stage
from nbmlops.core.quiet import quiet_answers
from nbmlops.core.records import Record

if TYPE_CHECKING:
    import pandas as pd

    from nbmlops.conversion.evidence import Evidence
    from nbmlops.conversion.onnx_model import OnnxModel
    from nbmlops.conversion.options import Options

BUDGET = 60.0
"""Seconds after which no further rung is begun."""


@dataclass(frozen=True)
class Terms:
    """On what terms a conversion is taken.

    Attributes
    ----------
    rows : int
        Rows in a typical request: where a converted model must not be slower.
    known : tuple of Known
        Conversions that are refused before they are tried.
    seconds : float
        Time after which no further rung is begun.
    """

    rows: int = 1
    known: tuple[Known, ...] = KNOWN
    seconds: float = BUDGET


@dataclass(frozen=True)
class Attempt(Record):
    """One rung of one converter, and what came of it.

    Attributes
    ----------
    converter, rung : str
    outcome : str
        What came of it, as the end of a sentence that begins with the converter's name.
    state : str
        ``chosen``, ``slower`` (and faithful), ``unfaithful``, ``failed``, ``refused`` before it was tried, or ``late``.
    findings : tuple of Finding
        The groups of rows that were compared, up to the first that disagrees.
    speed : Speed or None
    onnx : OnnxModel or None
    """

    converter: str
    rung: str
    outcome: str
    state: str
    findings: tuple[Finding, ...] = ()
    speed: Speed | None = None
    onnx: OnnxModel | None = field(default=None, repr=False)

    @property
    def faithful(self) -> bool:
        """Whether every row was answered as the fitted object does."""
        return self.state in {"chosen", "slower"}

    @property
    def flips(self) -> pd.DataFrame | None:
        """The rows that were answered otherwise, in the group that ended the attempt."""
        return self.findings[-1].flips if self.findings else None


def climb(
    converters: Sequence[Converter], evidence: Evidence, *, terms: Terms, options: Options | None = None
) -> tuple[Attempt, ...]:
    """Try rung by rung, each converter's own before the next one's, and stop at the first that is chosen."""
    end = time.monotonic() + terms.seconds
    trail: list[Attempt] = []
    tried: set[str] = set()
    for converter, rung in _rungs(converters, trail):
        if time.monotonic() > end and trail:
            outcome = f"was not tried: {terms.seconds:.0f} seconds were over"
            trail.append(Attempt(converter.name, rung, outcome, "late"))
            break
        stage(f"trying {converter.name} in {rung}")
        with quiet_answers():
            trail.append(_attempt(converter, rung, evidence=evidence, terms=terms, options=options, tried=tried))
        if trail[-1].state == "chosen":
            break
    return tuple(trail)


def _rungs(converters: Sequence[Converter], trail: list[Attempt]) -> Iterator[tuple[Converter, str]]:
    """Yield what to try next: no further rung of a converter whose model is faithful and too slow already."""
    for converter in converters:
        for rung in (one for one in RUNGS if one in rungs_of(converter)):
            last = trail[-1] if trail else None
            if last is not None and last.converter == converter.name and last.state == "slower":
                break
            yield converter, rung


def _attempt(
    converter: Converter,
    rung: str,
    *,
    evidence: Evidence,
    terms: Terms,
    options: Options | None,
    tried: set[str],
) -> Attempt:
    name = converter.name
    if reason := refusal(converter, evidence.model, rung, known=terms.known):
        return Attempt(name, rung, f"is known to be wrong for this model: {reason}", "refused")
    try:
        onnx = _converted(converter, evidence, rung)
        onnx = onnx if options is None else settings.applied(onnx, options)
    except failures() as error:
        return Attempt(name, rung, f"can't convert this model: {one_line(error)}", "failed")
    identity = f"{onnx.runtime} {onnx.digest}"
    if identity in tried:
        return Attempt(name, rung, "made the same model as on a rung before", "unfaithful")
    tried.add(identity)
    return _compared(Attempt(name, rung, "", "unfaithful", onnx=onnx), evidence, terms)


def _converted(converter: Converter, evidence: Evidence, rung: str) -> OnnxModel:
    """Ask for a rung; a converter that knows of none makes float32 and is not told."""
    if hasattr(converter, "rungs"):
        return converter.convert(evidence.model, evidence.signature, rung=rung)
    return converter.convert(evidence.model, evidence.signature)


def _compared(attempt: Attempt, evidence: Evidence, terms: Terms) -> Attempt:
    onnx, findings = attempt.onnx, []
    assert onnx is not None
    for group in evidence.groups():
        findings.append(judge(onnx, group))
        if findings[-1].agrees:
            continue
        if group.spared:
            onnx = replace(onnx, without_nulls=group.spared)
            continue
        return replace(attempt, outcome=_disagreement(findings[-1]), findings=tuple(findings))
    return _timed(replace(attempt, findings=tuple(findings), onnx=onnx), evidence, terms)


def _timed(attempt: Attempt, evidence: Evidence, terms: Terms) -> Attempt:
    frame, onnx = evidence.reference.inputs, attempt.onnx
    assert onnx is not None
    rows = as_fitted(frame, evidence.signature, evidence.model)
    measured = speed(evidence.model, onnx, rows, frame=frame, sizes=(*SIZES, terms.rows))
    if measured.at(terms.rows) < 1:
        outcome = f"made a model that agrees, but is slower: {measured}"
        return replace(attempt, outcome=outcome, state="slower", speed=measured)
    return replace(attempt, outcome=f"made a faithful model: {measured}", state="chosen", speed=measured)


def _disagreement(finding: Finding) -> str:
    """Return how a converted model disagrees; numbers alone, since reasons go to the journal and rows don't."""
    if finding.error:
        return f"made a model that does not answer {finding.kind}: {finding.error}"
    if finding.answered:
        return f"made a model that answers {finding.kind} where the fitted one refuses them"
    fidelity = finding.fidelity
    assert fidelity is not None
    return f"made a model that disagrees with the fitted one: {_how(fidelity, finding.kind)}"


def _how(fidelity: Fidelity, kind: str) -> str:
    if fidelity.labels_different:
        return f"{fidelity.labels_different:,} of {fidelity.rows:,} {kind} get another answer"
    return f"an answer to {kind} differs by {fidelity.max_difference:.1e}, above {fidelity.tolerance:.0e}"
