"""The matrix as pages of Markdown: one for the docs, and one of what was measured with its spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from .goals import Measured, ratio, verdicts

SIZES = ("1", "32", "1000", "10000")
HEADER = ("case", "converter, rung", "rows", "other labels", "largest difference", "all but 0.1 %")
HEADER += ("1 row", "32", "1,000", "10,000")
MADE = "Made by `make bench-conversion` from `benchmarks/results/conversion.json`; do not edit."
LEGEND = """\
Rows: those that the gate compared and the fresh ones of a check that shares no code with the gate. Other labels: of
those rows, ties aside. Differences: of probabilities, or of a regression's values relative to themselves. The last four
columns say how many times as fast as the fitted object ONNX Runtime answers a call of so many rows, on one thread, fed
with arrays; a dash where a call takes too long to measure. Below 1 it is slower: what counts is the size of your
requests."""


def docs(found: Measured) -> str:
    """Return the page of the docs."""
    cases = found["cases"]
    chosen = [case for case in cases.values() if case.get("chosen")]
    wrong = sum(bool(case["check"]["wrong"]) for case in chosen)
    parts = [
        "# What converts to ONNX",
        f"{MADE} [How conversion works](conversion.md) says what stands behind the words.",
        f"Of {len(cases)} models and pipelines, {len(chosen)} convert and {len(cases) - len(chosen)} stay in their own "
        f"runtime; {wrong or 'none'} of the converted ones {'answer' if wrong > 1 else 'answers'} wrongly.",
        _facts(found),
        "## Converted",
        LEGEND,
        *_families(cases),
        "## In their own runtime",
        "Each of these is served by the fitted object itself, for the reason that the report gives.",
        _staying(cases),
        "## Traps",
        "What is known to go wrong without an error in one converter or another, and what came of it here.",
        _traps(cases),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def results(found: Measured) -> str:
    """Return the page of what was measured: goals and speed with its spread."""
    rows = [(one.what, one.goal, one.measured, "yes" if one.met else "**no**") for one in verdicts(found)]
    speeds = [
        (name, *(_spread(case, size) for size in ("frame", *SIZES)))
        for name, case in found["cases"].items()
        if case.get("chosen")
    ]
    parts = [
        "# Converted models against the fitted ones",
        f"{MADE} [The matrix](../../docs/conversion-matrix.md) has the rest: converters, rungs, fidelity, reasons.",
        _facts(found),
        "## Goals",
        table(rows, ("what", "goal", "measured", "met")),
        "## How many times as fast",
        f"Median of {found['runs']} interleaved rounds (lowest to highest), each the ratio of two medians over calls "
        "with rotating rows, on one thread. In a frame: both get a DataFrame of one row. In arrays: ONNX Runtime gets "
        "what a server decodes, the fitted object the rows in the form that it was fitted on.",
        table(speeds, ("case", "1 row in a frame", "1 row in arrays", "32", "1,000", "10,000")),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(rows: Iterable[Sequence[str]], header: Sequence[str], *, left: int = 1) -> str:
    """Return a Markdown table; the first `left` columns are set to the left, the others to the right."""
    marks = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, marks, *rows))


def _facts(found: Measured) -> str:
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    load = ", ".join(f"{one:.2f}" for one in found["load_before"])
    return (
        f"{found['began']}, {found['minutes']:.0f} minutes; {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}; load average before: {load}. {versions}."
    )


def _families(cases: Measured) -> list[str]:
    made = []
    for family in dict.fromkeys(case["family"] for case in cases.values()):
        rows = [_row(name, case) for name, case in cases.items() if case["family"] == family and case.get("chosen")]
        made += [f"### {family[0].upper()}{family[1:]}", table(rows, HEADER, left=2)] if rows else []
    return made


def _row(name: str, case: Measured) -> list[str]:
    gate, check = case["gate"], case["check"]
    largest = max(gate["max_difference"], check["max_difference"])
    high = max(gate["p999_difference"], check["p999_difference"])
    return [
        name,
        f"{case['chosen']}, {case['rung']}",
        f"{gate['rows'] + check['rows']:,}",
        str(gate["flipped"] + check["labels"]),
        _small(largest),
        _small(high),
        *(_times(ratio(case, size)) for size in SIZES),
    ]


def _staying(cases: Measured) -> str:
    rows = [(name, _cell(case["reason"])) for name, case in cases.items() if not case.get("chosen")]
    return table(rows, ("case", "why"), left=2) if rows else ""


def _traps(cases: Measured) -> str:
    rows = [(name, _cell(case["trap"]), _came(case)) for name, case in cases.items() if case["trap"]]
    return table(rows, ("case", "trap", "what came of it"), left=3)


def _came(case: Measured) -> str:
    rejected = sum(state == "unfaithful" for _, _, state, _ in case.get("trail", ()))
    refused = sum(state == "refused" for _, _, state, _ in case.get("trail", ()))
    told = [f"{rejected} rejected by the comparison"] if rejected else []
    told += [f"{refused} known and not tried"] if refused else []
    told += [f"{case['chosen']} in {case['rung']} is right" if case.get("chosen") else "stays in its own runtime"]
    return "; ".join(told)


def _spread(case: Measured, size: str) -> str:
    values = [one[size] for one in case["ratios"] if size in one]
    if not values:
        return "–"
    return f"{_number(statistics.median(values))} ({_number(min(values))} to {_number(max(values))})"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{_number(value)} ×"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _small(value: Any) -> str:
    return "0" if value == 0 else f"{value:.0e}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
