"""Convert, compare, choose: nothing serves that does not say what the fitted object says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.certificate import certificate
from nbmlops.conversion.evidence import Evidence
from nbmlops.conversion.ladder import Attempt, Terms, climb
from nbmlops.conversion.options import Options
from nbmlops.conversion.report import ConversionReport
from nbmlops.conversion.seam import Converter, converters
from nbmlops.core.progress import stage

if TYPE_CHECKING:
    from nbmlops.conversion.speed import Speed
    from nbmlops.registry import Reference

TELLING = ("slower", "unfaithful", "refused", "failed", "late")
"""States of an attempt, the one that says most about why the fitted object serves first."""


def convert(
    model: Any,
    signature: Mapping[str, Any],
    reference: Reference | None,
    *,
    candidates: tuple[Converter, ...] | None = None,
    options: Options | None = None,
    terms: Terms | None = None,
) -> ConversionReport:
    """Convert a fitted model to ONNX where its answers stay the same.

    One converter after another is tried, each on its rungs (`nbmlops.conversion.rungs`), until one is faithful: on a
    thousand rows or more (the saved sample, and rows mixed from it where it is shorter) every label but exact ties
    equals the fitted object's and no probability (or, of a regression, no value relative to itself) differs by more
    than 1e-5; and the same holds on adversarial rows made from the sample (nulls, categories never seen, numbers next
    to where the answer changes, far outside the range, or beyond what float32 holds), where rows that the fitted
    object refuses are refused. It is chosen if it is no slower on a request of the typical size. Nulls that only the
    fitted object answers so are refused where the converted model serves. Anything else, a failing converter included,
    leaves the fitted object to serve and says why; this never raises on account of the model.

    Parameters
    ----------
    model : object
        The fitted object.
    signature : mapping
        As the registry stored it.
    reference : Reference or None
        The saved sample with the fitted object's own answers.
    candidates : tuple of Converter, optional
        What to try, in order. Default: all that are installed.
    options : Options, optional
        What to do to a converted model before it is compared.
    terms : Terms, optional
        The typical request's size, what is known to be wrong, and the time.
    """
    stage("converting to ONNX")
    able = [one for one in (converters() if candidates is None else candidates) if one.can_convert(model)]
    if not able:
        return _stays(f"no converter takes {type(model).__name__}")
    if reference is None or len(reference.inputs) == 0:
        return _stays("no sample of the data was kept, so there is nothing to compare a converted model with")
    agreed = terms or Terms()
    evidence = Evidence(model, signature, reference)
    trail = climb(able, evidence, terms=agreed, options=options)
    return _reported(trail, evidence, terms=agreed, options=options)


def _stays(reason: str) -> ConversionReport:
    return ConversionReport(chosen=None, rung="", reason=reason)


def _reported(
    trail: tuple[Attempt, ...], evidence: Evidence, *, terms: Terms, options: Options | None
) -> ConversionReport:
    last = trail[-1]
    chosen = last.state == "chosen"
    told = last if chosen else _most_telling(trail)
    reason = _praise(told, terms) if chosen else f"{told.converter} {told.outcome}"
    return ConversionReport(
        chosen=told.converter if chosen else None,
        rung=told.rung if chosen else "",
        reason=reason,
        fidelity=told.findings[0].fidelity if told.findings else None,
        speed=told.speed,
        certificate=certificate(trail, evidence, told=told, reason=reason, terms=terms, options=options),
        onnx=told.onnx if chosen else None,
        trail=trail,
        flips=told.flips,
    )


def _most_telling(trail: tuple[Attempt, ...]) -> Attempt:
    """Return the first attempt of the state that explains most."""
    return min(trail, key=lambda attempt: TELLING.index(attempt.state))


def _praise(attempt: Attempt, terms: Terms) -> str:
    assert attempt.speed is not None
    rows = sum(finding.rows + finding.refused for finding in attempt.findings)
    size = attempt.speed.nearest(terms.rows)
    what = "one row is" if size == 1 else f"{size:,} rows are"
    praise = f"all {rows:,} rows get the same answer, and {what} answered {attempt.speed.at(size):,.3g} times as fast"
    return praise + _but(attempt.speed)


def _but(speed: Speed) -> str:
    """Return from which size of a call on the fitted object is the quicker one; nothing where it is at none."""
    slower: list[int] = []
    for size, ratio in reversed(speed.ratios.items()):
        if ratio >= 1:
            break
        slower.append(size)
    if not slower:
        return ""
    return f"; from {slower[-1]:,} rows in a call on it is slower ({speed.ratios[slower[-1]]:.2g} times as fast)"
