"""Every case of the catalogue behind the gate, checked independently and measured in turns: plain data."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from threadpoolctl import threadpool_limits

from nbmlops.conversion.certificate import versions
from nbmlops.conversion.speed import SIZES, speed
from nbmlops.core.quiet import quiet_answers
from nbmlops.testing.estimators import CATALOGUE, Case
from nbmlops.testing.estimators.matrix import Outcome, outcome

FRAME_CALLS = 40
FRAME_ROWS = 64  # that rotate


@dataclass(frozen=True)
class Extent:
    """How much is done: rounds of measuring, fresh rows of the check, jumps that it follows."""

    runs: int = 5
    rows: int = 10_000
    pairs: int = 100


@dataclass
class Entry:
    """A case with what came of it."""

    case: Case
    found: Outcome | None
    fit_s: float = 0.0
    convert_s: float = 0.0
    ratios: list[dict[str, float]] = field(default_factory=list)

    def measure(self) -> None:
        """Time both once more: batches of arrays and, where the object was fitted on a frame, a frame of one row."""
        assert self.found is not None
        report, fitted = self.found.report, self.found.fitted
        assert report.onnx is not None
        frame = fitted.reference.inputs
        with quiet_answers():
            measured = speed(fitted.model, report.onnx, fitted.native(frame), frame=frame, sizes=SIZES)
            ratios = {str(rows): ratio for rows, ratio in measured.ratios.items()}
            self.ratios.append(ratios)
            if not hasattr(fitted.rows.inputs, "columns"):
                return
            rows = [frame.iloc[place : place + 1] for place in range(min(FRAME_ROWS, len(frame)))]
            ratios["frame"] = _median(fitted.model.predict, rows) / _median(report.onnx.predict, rows)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; no row leaves it."""
        case = self.case
        facts: dict[str, Any] = {"family": case.family, "trap": case.trap, "required": case.outcome}
        if self.found is None:
            return facts | {"reason": f"{case.needs} is not installed"}
        report, verdict = self.found.report, self.found.verdict
        facts |= {"fit_s": self.fit_s, "convert_s": self.convert_s, "reason": report.reason, "ratios": self.ratios}
        facts["trail"] = [[one.converter, one.rung, one.state, one.outcome] for one in report.trail]
        if verdict is None:
            return facts
        fidelity = report.certificate["fidelity"]
        compared = {name: fidelity[name] for name in ("rows", "flipped", "ties", "max_difference", "p999_difference")}
        return facts | {
            "chosen": report.chosen,
            "rung": report.rung,
            "gate": compared,
            "check": {
                "rows": verdict.rows,
                "at_edges": verdict.at_edges,
                "labels": verdict.labels,
                "wrong": verdict.wrong,
                "max_difference": verdict.max_difference,
                "p999_difference": verdict.high_difference,
            },
        }


def run(cases: Sequence[Case], extent: Extent, *, machine: dict[str, Any]) -> dict[str, Any]:
    """Convert and check every case, then measure those that convert in turns; return everything as plain data."""
    began, load_before = time.time(), os.getloadavg()
    with threadpool_limits(1):
        entries = [_entry(case, extent) for case in cases]
        for number in range(extent.runs):
            told(f"run {number + 1} of {extent.runs}")
            for entry in entries:
                if entry.found is not None and entry.found.report.onnx is not None:
                    entry.measure()
    return {
        "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
        "minutes": (time.time() - began) / 60,
        "runs": extent.runs,
        "load_before": list(load_before),
        "machine": machine,
        "versions": versions(),
        "cases": {entry.case.name: entry.to_dict() for entry in entries},
    }


def chosen(only: Sequence[str]) -> list[Case]:
    """Return the cases of which one of the texts is the name or the family; all where there is no text."""
    return [case for case in CATALOGUE if not only or any(text in (case.name, case.family) for text in only)]


def told(line: str) -> None:
    """Say on the terminal how far it is."""
    print(line, file=sys.stderr, flush=True)


def _entry(case: Case, extent: Extent) -> Entry:
    if case.needs and not find_spec(case.needs):
        told(f"{case.name}: {case.needs} is not installed")
        return Entry(case, None)
    began = time.perf_counter()
    fitted = case.fitted()
    fit_s = time.perf_counter() - began
    found = outcome(fitted, rows=extent.rows, pairs=extent.pairs)
    told(f"{case.name}: {found.report.chosen or 'stays'} {found.report.rung}")
    return Entry(case, found, fit_s=fit_s, convert_s=time.perf_counter() - began - fit_s)


def _median(call: Callable[[Any], object], payloads: Sequence[Any]) -> float:
    times = []
    for number in range(FRAME_CALLS):
        payload = payloads[number % len(payloads)]
        began = time.perf_counter()
        call(payload)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
