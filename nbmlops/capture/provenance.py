"""What to say when a notebook no longer tells how its model was made: plain sentences that name the cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nbmlops.capture.lineage import Disorder, Lineage, Run, disorders
from nbmlops.capture.saved import SavedNotebook

MOST_NAMED = 3
LONGEST_LINE = 60


def warnings(lineage: Lineage, runs: Sequence[Run], saved: SavedNotebook) -> tuple[str, ...]:
    """Return one sentence for each thing that a fresh run of the saved notebook might do otherwise."""
    states: dict[str, list[Run]] = {"edited": [], "gone": [], "unknown": [], "saved": []}
    for run in lineage.runs:
        states[saved.state(run)].append(run)
    said = [f"The model came from {name(run)}, which was edited since it ran." for run in states["edited"]]
    said += [f"The model came from {name(run)}, which the saved notebook no longer holds." for run in states["gone"]]
    if states["unknown"]:
        said.append(
            f"It is unknown whether the notebook still holds {_names(states['unknown'])}, which the model came from: "
            "it was not saved since."
        )
    together: dict[tuple[int, int, str], list[Disorder]] = {}
    for one in disorders(lineage, runs, saved.position):
        key = (
            one.step.reader.execution_count,
            one.step.writer.execution_count,
            name(one.between) if one.between else "",
        )
        together.setdefault(key, []).append(one)
    said += map(_disorder, together.values())
    return tuple(dict.fromkeys(said))


def name(run: Run) -> str:
    """Return a cell's number and its first line, as a reader finds it: ``cell [3] "model.fit(X, y)"``."""
    lines = [line.strip() for line in run.source.splitlines() if line.strip()]
    first = next((line for line in lines if not line.startswith("%%")), lines[0] if lines else "")
    short = first if len(first) <= LONGEST_LINE else first[: LONGEST_LINE - 1] + "…"
    return f'cell [{run.execution_count}] "{short}"'


def _names(runs: Sequence[Run]) -> str:
    named = ", ".join(name(run) for run in runs[:MOST_NAMED])
    return named if len(runs) <= MOST_NAMED else f"{named} and {len(runs) - MOST_NAMED} more"


def _disorder(found: Sequence[Disorder]) -> str:
    """Say what two cells have against the notebook's order, with all the names between them."""
    step, between = found[0].step, found[0].between
    reader, writer = name(step.reader), name(step.writer)
    names = " and ".join(sorted({repr(one.step.name) for one in found}))
    if step.reader.cell == step.writer.cell:
        return f"Cells ran out of order: {reader} ran on its own earlier result, {names}."
    if between is None:
        return f"Cells ran out of order: {reader} used {names} of {writer}, which stands below it."
    return (
        f"Cells ran out of order: {reader} used {names} as {writer} left it, but {name(between)} stands between them "
        "and writes it too."
    )


def bound_to(obj: Any, names: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the names that hold `obj` itself, else those whose object has it as an attribute (a search's best)."""
    items = [(key, value) for key, value in names if not key.startswith("_") and key not in {"In", "Out"}]
    direct = [key for key, value in items if value is obj]
    return direct or [key for key, value in items if any(part is obj for part in _attributes(value))]


def _attributes(value: Any) -> list[Any]:
    found = getattr(value, "__dict__", None)
    return list(found.values()) if isinstance(found, dict) and not isinstance(value, type) else []
