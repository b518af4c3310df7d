"""The rows that a converted model is compared on, with the fitted object's own answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from nbmlops.capture.data import fingerprint
from nbmlops.conversion.adversarial import Probe, probes
from nbmlops.conversion.adversarial_changes import at_changes
from nbmlops.conversion.estimators import as_fitted
from nbmlops.conversion.failing import failures
from nbmlops.conversion.mixing import mixed
from nbmlops.conversion.ties import Tied, tie
from nbmlops.core import digests
from nbmlops.registry import sample

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nbmlops.registry import Reference

FEWEST_ROWS = 1000
"""Rows that the comparison takes at least; what the saved sample lacks is made from it."""
CALLS = 100
OWN, MADE = "saved rows", "rows mixed from them"


@dataclass(frozen=True)
class Answers:
    """Rows with the fitted object's answers: the part of a `Reference` that a comparison reads.

    Attributes
    ----------
    inputs : pandas.DataFrame, shape (n_rows, n_features)
    predictions, probabilities, classes, digest
        As in `Reference`.
    tied : callable or None
        Takes a mask of rows and their labels, and returns which the fitted object likes as much as its own; for one
        that has no probabilities in one array.
    """

    inputs: pd.DataFrame
    predictions: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None
    classes: list[Any] | None
    digest: str = ""
    tied: Tied | None = None


@dataclass(frozen=True)
class Group:
    """Rows of one kind.

    Attributes
    ----------
    kind : str
        In words, as a report names them.
    answers : Answers
        The rows that the fitted object answers; there may be none.
    refused : pandas.DataFrame
        The rows that it refuses, and a converted model must refuse too.
    spared : tuple of str
        Columns whose nulls may be refused in serving, so that answering these rows otherwise does no harm.
    across : ndarray of int, or None
        For each answered row, the place of its neighbour across a step of the answers, or -1: arithmetic before the
        step decides in its last bit on which side such a row lies, and either answer is right.
    """

    kind: str
    answers: Answers
    refused: pd.DataFrame
    spared: tuple[str, ...] = ()
    across: np.ndarray[Any, Any] | None = None

    @property
    def rows(self) -> int:
        """Number of rows, refused ones included."""
        return len(self.answers.inputs) + len(self.refused)


@dataclass(frozen=True)
class Evidence:
    """All rows for one model, made when they are first asked for.

    Parameters
    ----------
    model : object
        The fitted object.
    signature : mapping
    reference : Reference
        The saved sample.
    """

    model: Any
    signature: Mapping[str, Any]
    reference: Reference

    @cached_property
    def own(self) -> Group:
        """The saved rows with the answers that were kept with them."""
        kept = self.reference
        tied = tie(self.model, kept.inputs, self.signature) if kept.probabilities is None else None
        known = Answers(kept.inputs, kept.predictions, kept.probabilities, kept.classes, kept.digest, tied)
        return Group(OWN, known, kept.inputs.iloc[:0])

    @cached_property
    def made(self) -> Group:
        """Rows mixed from the saved ones, so that there are a thousand in all."""
        lacking = max(FEWEST_ROWS - len(self.reference.inputs), 0)
        return self._asked([Probe(MADE, mixed(self.reference.inputs, lacking))])[0]

    @cached_property
    def adversarial(self) -> tuple[Group, ...]:
        """Rows that no sample holds and a request may, by kind."""
        inputs = self.reference.inputs
        # Many calls of few rows: threads that wait for each other make each slow on a busy machine.
        with threadpool_limits(1, user_api="openmp"):
            return self._asked([*probes(inputs, self.signature), *at_changes(self.model, inputs, self.signature)])

    def groups(self) -> Iterator[Group]:
        """Yield all of them in the order of a comparison, each made when it is its turn."""
        yield self.own
        if len(self.reference.inputs) < FEWEST_ROWS:
            yield self.made
        yield from self.adversarial

    def digest(self, groups: int) -> str:
        """Return ``sha256:…`` over every row of the first so many groups, refused ones included, and their kinds."""
        compared = islice(self.groups(), groups)
        return digests.of_json(
            {
                group.kind: [fingerprint(rows.reset_index(drop=True), profile=False).digest for rows in _both(group)]
                for group in compared
            }
        )

    def _asked(self, made: Sequence[Probe]) -> tuple[Group, ...]:
        """Return the rows with their answers: in one call where the fitted object refuses none of them."""
        import pandas as pd

        if not made:
            return ()
        try:
            all_rows = pd.concat([probe.rows for probe in made], ignore_index=True)
            answers = answer(self.model, all_rows, self.signature)
        except failures():
            return tuple(_sorted(self.model, probe, self.signature) for probe in made)
        starts = [0, *accumulate(len(probe.rows) for probe in made)]
        return tuple(
            Group(probe.what, _part(answers, start, stop), probe.rows.iloc[:0], probe.spared, probe.across)
            for probe, (start, stop) in zip(made, pairwise(starts), strict=True)
        )


def answer(model: Any, rows: pd.DataFrame, signature: Mapping[str, Any]) -> Answers:
    """Return `rows` with what the fitted object answers; no rows have no answers.

    Raises
    ------
    Exception
        Whatever the fitted object refuses a row with.
    """
    import numpy as np

    if not len(rows):
        return Answers(rows, np.zeros(0), None, None)
    predictions, probabilities, classes = sample.answers(model, as_fitted(rows, signature, model))
    tied = tie(model, rows, signature) if probabilities is None else None
    return Answers(rows, predictions, probabilities, classes, tied=tied)


def _part(answers: Answers, start: int, stop: int) -> Answers:
    here, tied, chances = slice(start, stop), answers.tied, answers.probabilities
    return Answers(
        answers.inputs.iloc[here].reset_index(drop=True),
        answers.predictions[here],
        None if chances is None else chances[here],
        answers.classes,
        tied=None if tied is None else lambda mask, labels: tied(_padded(mask, start, len(answers.inputs)), labels),
    )


def _padded(mask: np.ndarray[Any, Any], start: int, rows: int) -> np.ndarray[Any, Any]:
    import numpy as np

    padded = np.zeros(rows, dtype=bool)
    padded[start : start + len(mask)] = mask
    return padded


def _sorted(model: Any, probe: Probe, signature: Mapping[str, Any]) -> Group:
    """Return rows with the answers of those that the fitted object does not refuse, found by halving.

    Past `CALLS` the rest is left out.
    """
    import numpy as np

    rows = probe.rows
    answered, refused = np.zeros((2, len(rows)), dtype=bool)
    pieces, calls = [(0, len(rows))], 0
    while pieces and calls < CALLS:
        start, stop = pieces.pop()
        calls += 1
        try:
            answer(model, rows.iloc[start:stop], signature)
        except failures():
            middle = (start + stop) // 2
            refused[start:stop] = stop - start == 1
            pieces += [(start, middle), (middle, stop)] if stop - start > 1 else []
        else:
            answered[start:stop] = True
    across = None if probe.across is None else _moved(probe.across, answered)
    return Group(probe.what, answer(model, rows[answered], signature), rows[refused], probe.spared, across)


def _moved(across: np.ndarray[Any, Any], kept: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the neighbours' places once the rows that are not `kept` are gone."""
    import numpy as np

    places = np.where(kept, np.cumsum(kept) - 1, -1)
    chosen = across[kept]
    return np.where(chosen >= 0, places[chosen], -1)


def _both(group: Group) -> tuple[pd.DataFrame, pd.DataFrame]:
    return group.answers.inputs, group.refused
