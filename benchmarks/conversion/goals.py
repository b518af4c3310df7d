"""The goals that the matrix is held against."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Measured = dict[str, Any]

TREES_AND_LINEAR = frozenset({"linear", "trees", "forests", "boosting"})
EXACT = 1e-12
FRAME_GOAL, ARRAY_GOAL = 5, 30


@dataclass(frozen=True)
class Verdict:
    """One goal and what came of it."""

    what: str
    goal: str
    measured: str
    met: bool


def ratio(case: Measured, size: str) -> float | None:
    """Return the median of how many times as fast a converted model is, None where that was not measured."""
    values = [one[size] for one in case.get("ratios", ()) if size in one]
    return statistics.median(values) if values else None


def verdicts(found: Measured) -> Iterator[Verdict]:
    """Yield every goal that what was measured says something about."""
    cases = found["cases"]
    converted = {name: case for name, case in cases.items() if case.get("chosen")}
    wrong = sum(bool(case["check"]["wrong"]) for case in converted.values())
    fresh = sum(case["check"]["rows"] for case in converted.values())
    yield Verdict(
        "silently wrong conversions", "none", f"{wrong} of {len(converted)}, on {fresh:,} fresh rows", wrong == 0
    )
    exact = [case for name, case in converted.items() if "histogram boosting" in name]
    if exact:
        largest = max(max(case["check"]["max_difference"], case["gate"]["max_difference"]) for case in exact)
        labels = sum(case["check"]["labels"] for case in exact)
        yield Verdict(
            f"histogram boosting in ONNX, {len(exact)} cases",
            f"≤ {EXACT:.0e}, every label",
            f"{largest:.1e}, {labels} labels differ",
            largest <= EXACT and not labels,
        )
    quick = {name: case for name, case in converted.items() if case["family"] in TREES_AND_LINEAR}
    for size, what, goal in (("frame", "a DataFrame", FRAME_GOAL), ("1", "arrays", ARRAY_GOAL)):
        values = sorted(value for case in quick.values() if (value := ratio(case, size)) is not None)
        if values:
            middle, enough = statistics.median(values), sum(value >= goal for value in values)
            yield Verdict(
                f"one row in {what}, converted trees and linear models against scikit-learn",
                f"≥ {goal} ×",
                f"{middle:.3g} × (median; {values[0]:.3g} to {values[-1]:.3g}; {enough} of {len(values)} cases)",
                middle >= goal,
            )
