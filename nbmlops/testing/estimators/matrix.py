"""Run a case: convert it behind the gate, check independently what was chosen, and say what is not as it must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbmlops.conversion import ConversionReport, convert
from nbmlops.conversion.ladder import Terms
from nbmlops.testing.estimators.case import CONVERTS, STAYS, Fitted
from nbmlops.testing.estimators.checking import Verdict, check

if TYPE_CHECKING:
    from nbmlops.conversion import Converter


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Attributes
    ----------
    fitted : Fitted
    report : ConversionReport
        What the gate said.
    verdict : Verdict or None
        What the check of the chosen model saw; None where none was chosen.
    """

    fitted: Fitted
    report: ConversionReport
    verdict: Verdict | None

    def faults(self) -> Iterator[str]:
        """Yield what is not as the case says that it must be, nothing where all is well."""
        case, report = self.fitted.case, self.report
        chosen = f"{report.chosen} in {report.rung}"
        if self.verdict is not None and self.verdict.wrong:
            yield f"{case.name}: {chosen} was chosen and is wrong: {self.verdict}"
        if report.chosen is None and not report.reason:
            yield f"{case.name}: it stays in its own runtime and nobody says why"
        if report.chosen is None and case.outcome == CONVERTS:
            yield f"{case.name}: it has to convert, but {report.reason}"
        if report.chosen and case.outcome == STAYS:
            yield f"{case.name}: it has to stay in its own runtime, but {chosen} was chosen"
        if report.chosen and report.rung not in case.rungs:
            yield f"{case.name}: {chosen} was chosen; expected one of {', '.join(case.rungs)}"


def outcome(
    fitted: Fitted,
    *,
    rows: int,
    pairs: int = 24,
    candidates: tuple[Converter, ...] | None = None,
    terms: Terms | None = None,
) -> Outcome:
    """Convert a fitted case and check what is chosen.

    Parameters
    ----------
    fitted : Fitted
    rows : int
        Fresh rows of the check.
    pairs : int
        Jumps of the answers that the check follows.
    candidates, terms
        As `nbmlops.conversion.convert` takes them.
    """
    report = convert(fitted.model, fitted.signature, fitted.reference, candidates=candidates, terms=terms)
    verdict = None if report.onnx is None else check(fitted, report.onnx, rows, pairs=pairs)
    return Outcome(fitted, report, verdict)
