"""Which executions an object came from, and what a run from top to bottom would do otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from nbmlops.capture.flow import Flow, flow


@dataclass(frozen=True)
class Run:
    """One execution of a cell, in the order of execution.

    Attributes
    ----------
    execution_count : int
    source : str
    cell_id : str
        Empty where it is unknown.
    started_at : float or None, seconds since the epoch
        None where it is unknown.
    bound : frozenset of str
        Names that were seen to be bound, beside those that the source tells.
    succeeded : bool
    """

    execution_count: int
    source: str
    cell_id: str = ""
    started_at: float | None = None
    bound: frozenset[str] = frozenset()
    succeeded: bool = True

    @cached_property
    def flow(self) -> Flow:
        return flow(self.source)

    @cached_property
    def writes(self) -> frozenset[str]:
        """Names that it bound or changed; of a cell that failed, only what was seen."""
        return self.bound | self.flow.writes if self.succeeded else self.bound

    @property
    def cell(self) -> str:
        """What tells its cell from others."""
        return self.cell_id or self.source.strip()


@dataclass(frozen=True)
class Step:
    """`reader` used `name` as `writer` had left it.

    Attributes
    ----------
    reader, writer : Run
    name : str
    deferred : bool
        Read in a function's body: the order of the cells then matters to the call, not to the definition.
    """

    reader: Run
    writer: Run
    name: str
    deferred: bool = False


@dataclass(frozen=True)
class Lineage:
    """What an object came from.

    Attributes
    ----------
    producers : tuple of Run
        The last to bind or change the object, one for each name that it goes by.
    runs : tuple of Run
        All that it came from, producers included, in the order of execution.
    steps : tuple of Step
    """

    producers: tuple[Run, ...]
    runs: tuple[Run, ...]
    steps: tuple[Step, ...]


def trace(runs: Sequence[Run], names: Iterable[str]) -> Lineage:
    """Follow `names` back through `runs` (in the order of execution) to all that they came from."""
    producers = {place for name in names if (place := _writer(runs, name, len(runs))) is not None}
    pending, found, steps = sorted(producers), set(producers), []
    while pending:
        place = pending.pop()
        for name, deferred in _needs(runs[place]):
            before = _source(runs, name, place)
            if before is not None:
                steps.append(Step(runs[place], runs[before], name, deferred))
                if before not in found:
                    found.add(before)
                    pending.append(before)
    steps.sort(key=lambda step: step.reader.execution_count)
    made, came = (tuple(runs[place] for place in sorted(places)) for places in (producers, found))
    return Lineage(made, came, tuple(steps))


def _needs(run: Run) -> list[tuple[str, bool]]:
    return [(name, False) for name in sorted(run.flow.reads)] + [(name, True) for name in sorted(run.flow.deferred)]


def _source(runs: Sequence[Run], name: str, place: int) -> int | None:
    """Return who left `name` as the run at `place` found it.

    A cell that changes an object in place and runs again (``model.fit`` twice) does not depend on itself.
    """
    run = runs[place]
    again = name in run.flow.changes and name not in run.flow.binds
    before = _writer(runs, name, place)
    while again and before is not None and runs[before].cell == run.cell:
        before = _writer(runs, name, before)
    return before


def _writer(runs: Sequence[Run], name: str, before: int) -> int | None:
    return next((place for place in range(before - 1, -1, -1) if name in runs[place].writes), None)


@dataclass(frozen=True)
class Disorder:
    """A step that a run from top to bottom would not repeat.

    Attributes
    ----------
    step : Step
    between : Run or None
        The cell that stands between the two and would have written the name last; None where the writer itself
        stands below the reader, or is the reader.
    """

    step: Step
    between: Run | None = None


def disorders(lineage: Lineage, runs: Sequence[Run], position: Callable[[Run], int | None]) -> tuple[Disorder, ...]:
    """Return the steps that the saved notebook's order contradicts.

    Parameters
    ----------
    lineage : Lineage
    runs : sequence of Run
        All executions.
    position : callable
        Run -> the place of its cell in the saved notebook, or None where it has none.
    """
    found = []
    for step in lineage.steps:
        reader, writer = position(step.reader), position(step.writer)
        if step.deferred or reader is None or writer is None:
            continue
        if writer >= reader:
            found.append(Disorder(step))
            continue
        rival = _between(runs, step.name, places=(writer, reader), position=position)
        if rival is not None:
            found.append(Disorder(step, rival))
    return tuple(found)


def _between(
    runs: Sequence[Run], name: str, *, places: tuple[int, int], position: Callable[[Run], int | None]
) -> Run | None:
    for run in runs:
        place = position(run)
        if place is not None and places[0] < place < places[1] and name in run.writes:
            return run
    return None
