"""A case of the catalogue: a model to fit, its rows, and what has to come of its conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from nbmlops.conversion.rungs import RUNGS
from nbmlops.core.quiet import quiet_answers
from nbmlops.registry import Reference, preparing, signature, tables
from nbmlops.testing.estimators.data import Rows, Source

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1200
SEED, FRESH_SEED = 7, 20_261
CONVERTS, STAYS, EITHER = "converts", "stays", "either"
"""What has to come of a conversion. `EITHER`: only that nothing wrong is chosen."""


@dataclass(frozen=True)
class Case:
    """One model of the matrix.

    Attributes
    ----------
    name : str
        In plain words; no two cases have the same.
    family : str
        Linear, trees, forests, …: the heading under which the table shows it.
    model : callable
        Makes the model, not fitted.
    source : callable
        Makes its rows.
    outcome : str
        `CONVERTS`, `STAYS` or `EITHER`.
    rungs : tuple of str
        The rungs on which it may convert.
    stepped : bool
        Its answers jump where a number crosses a threshold, so that rows are also made on both sides of the jumps.
    jumps_in : str
        ``float64`` where the two sides may be adjacent doubles; ``float32`` where the steps before the jump compute
        with functions that two libraries round differently, so that the sides are adjacent as float32.
    trap : str
        What is known to convert it wrongly without a word; empty where nothing is.
    rows : int
        Rows that it is fitted on, and that are its saved sample.
    needs : str
        A package that it needs beside scikit-learn; empty for none.
    """

    name: str
    family: str
    model: Callable[[], Any]
    source: Source
    outcome: str = CONVERTS
    rungs: tuple[str, ...] = RUNGS
    stepped: bool = False
    jumps_in: str = "float64"
    trap: str = ""
    rows: int = ROWS
    needs: str = ""

    def fitted(self) -> Fitted:
        """Return the fitted model with all that a conversion asks for, as a registration would have kept it."""
        rows = self.source(self.rows, SEED)
        # Histogram boosting asks OpenMP for every core, which takes many times as long where others want them too.
        with quiet_answers(), threadpool_limits(1):
            model = self.model().fit(rows.inputs, rows.target)
        inputs = tables.read(rows.inputs)
        assert inputs is not None
        reference = preparing.answered(model, rows.inputs)
        return Fitted(self, model, rows, signature.infer(model, inputs, reference), reference)


@dataclass(frozen=True)
class Fitted:
    """A case with its fitted model.

    Attributes
    ----------
    case : Case
    model : object
        The fitted object.
    rows : Rows
        What it was fitted on.
    signature : dict
        As a registry stores it.
    reference : Reference
        The saved sample with the fitted object's own answers.
    """

    case: Case
    model: Any
    rows: Rows
    signature: dict[str, Any]
    reference: Reference

    @property
    def classifies(self) -> bool:
        """Whether its answers are labels: of a classifier, or of what tells inliers from outliers."""
        from sklearn.base import is_classifier, is_outlier_detector

        return bool(is_classifier(self.model) or is_outlier_detector(self.model))

    def native(self, frame: pd.DataFrame) -> Any:
        """Return the rows of a frame in the form that the model takes."""
        inputs = tables.read(self.rows.inputs)
        assert inputs is not None
        return inputs.native(frame)

    def fresh(self, rows: int, *, seed: int = FRESH_SEED) -> pd.DataFrame:
        """Return rows that nothing was fitted on or compared with before, as a frame."""
        inputs = tables.read(self.case.source(rows, seed).inputs)
        assert inputs is not None
        return inputs.frame
