"""What is explained: a fitted model with rows, and the model's own outputs on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nbmlops.core.errors import InvalidInput
from nbmlops.core.quiet import quiet_answers
from nbmlops.explanation.origins import Origins, origins

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]

PROBABILITY, MARGIN, DECISION = "probability", "log-odds", "decision value"
VALUE, LOG = "value", "logarithm of the value"
LOG_LINKS = ("poisson", "gamma", "tweedie")
"""What the names of losses and models hold whose sum is the logarithm of their answer."""
LOGISTIC = ("LogisticRegression", "HistGradientBoosting", "GradientBoosting", "XGB", "LGBM")
"""Beginnings of the names of classifiers whose margin is the logarithm of the odds."""


def itself(frame: pd.DataFrame) -> Any:
    """Return the frame as it is."""
    return frame


@dataclass(frozen=True)
class Subject:
    """A fitted model and the rows to explain, in the columns that a user sends.

    Attributes
    ----------
    model : object
        The whole fitted object, preprocessing included.
    rows : DataFrame, shape (n_rows, n_columns)
        What is explained.
    background : DataFrame, shape (n_background, n_columns)
        What an unknown column is filled from.
    native : callable
        Turns a frame of raw rows into what the model takes: an array, a series, the frame itself.
    classes : tuple
        Empty where the model tells no classes apart.
    seed : int
    """

    model: Any
    rows: pd.DataFrame
    background: pd.DataFrame
    native: Callable[[pd.DataFrame], Any] = itself
    classes: tuple[Any, ...] = ()
    seed: int = 20131

    @property
    def columns(self) -> list[str]:
        """Names of the raw columns."""
        return [str(name) for name in self.rows.columns]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what is explained: the classes, or the positive one of two; empty for a value."""
        if len(self.classes) == 2:
            return (str(self.classes[1]),)
        return tuple(str(one) for one in self.classes)

    @property
    def last(self) -> Any:
        """The last step of a pipeline, or the model itself."""
        steps = getattr(self.model, "steps", None)
        return steps[-1][1] if steps else self.model

    def prepared(self, frame: pd.DataFrame) -> Any:
        """Return rows as the last step gets them; a dense or sparse matrix, or a frame.

        Histogram gradient boosting codes its categories itself: its rows come out coded.
        """
        made = self.native(frame)
        if getattr(self.model, "steps", None) and len(self.model.steps) > 1:
            made = self.model[:-1].transform(made)
        if hasattr(self.last, "_preprocess_X"):
            made = self.last._preprocess_X(made, reset=False)
        return made

    def matrix(self, frame: pd.DataFrame) -> Floats:
        """Return rows as the last step gets them, as a dense array of floats."""
        with quiet_answers():
            made = self.prepared(frame)
        made = made.toarray() if hasattr(made, "toarray") else made
        return np.asarray(made, dtype=np.float64)

    @cached_property
    def origins(self) -> Origins:
        """From which raw column each column of the last step comes."""
        return origins(self.prepared, self.background, self._prepared_names())

    def _prepared_names(self) -> list[str]:
        """Names of the last step's columns, where its steps know them."""
        steps = getattr(self.model, "steps", None)
        if not steps or len(steps) < 2 or hasattr(self.last, "_preprocess_X"):
            return []
        try:
            return [str(name) for name in self.model[:-1].get_feature_names_out()]
        except (AttributeError, ValueError, TypeError):  # a step of the user's that names nothing
            return []

    def output(self, scale: str, frame: pd.DataFrame) -> Floats:
        """Return what the model itself answers, shape (n_rows, n_outputs); of two classes that of the second.

        Raises
        ------
        InvalidInput
            It has no output on that scale, or not one number a row and output.
        """
        with quiet_answers():
            found = self._asked(scale, frame)
        if isinstance(found, list):
            raise InvalidInput("the model tells several labels apart", expected="one label, or numbers")
        values = np.asarray(found)
        if values.dtype.kind not in "fiub" or values.ndim > 2 or len(values) != len(frame):
            raise InvalidInput(
                f"the model answers with {values.dtype} of shape {values.shape}", expected="one row of numbers a row"
            )
        values = values.astype(np.float64).reshape(len(frame), -1)
        return values[:, 1:] if len(self.classes) == 2 and values.shape[1] == 2 else values

    def _asked(self, scale: str, frame: pd.DataFrame) -> Any:
        from nbmlops.registry.sample import predict

        rows = self.native(frame)
        if scale == PROBABILITY:
            return self.model.predict_proba(rows)
        if scale == VALUE:
            return predict(self.model, rows)
        if kind(self.last) == "lightgbm":
            return self.model.predict(rows, raw_score=True)
        if kind(self.last) == "xgboost":
            return self.model.predict(rows, output_margin=True)
        if scale == LOG:
            return np.log(predict(self.model, rows))
        if hasattr(self.model, "decision_function"):
            return self.model.decision_function(rows)
        raise InvalidInput(f"a {type(self.last).__name__} has no decision_function", expected="a margin to explain")

    @property
    def margin(self) -> str:
        """The scale on which the terms or trees of a model add up."""
        if self.classes:
            return MARGIN if type(self.last).__name__.startswith(LOGISTIC) else DECISION
        return LOG if has_log_link(self.last) else VALUE

    @property
    def scale(self) -> str:
        """The scale on which any model can be explained."""
        if self.classes:
            return PROBABILITY if hasattr(self.model, "predict_proba") else DECISION
        return DECISION if hasattr(self.model, "decision_function") else VALUE


def has_log_link(estimator: Any) -> bool:
    """Return whether a regression adds up to the logarithm of its answer.

    >>> from sklearn.linear_model import PoissonRegressor, Ridge
    >>> has_log_link(PoissonRegressor()), has_log_link(Ridge())
    (True, False)
    """
    if getattr(estimator, "link", None) == "identity":
        return False
    said = [type(estimator).__name__, getattr(estimator, "loss", ""), getattr(estimator, "objective", "")]
    return any(link in word.lower() for word in said if isinstance(word, str) for link in LOG_LINKS)


def kind(estimator: Any) -> str:
    """Return the package that an estimator is of.

    >>> from sklearn.svm import SVC
    >>> kind(SVC())
    'sklearn'
    """
    return type(estimator).__module__.partition(".")[0]
