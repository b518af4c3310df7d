"""An explanation: contributions that add up to the model's own output, and what can be read from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nbmlops.core.display import Card, Shown, Table, badge, plain_text, table
from nbmlops.core.errors import InvalidInput
from nbmlops.core.records import Record
from nbmlops.explanation.slices import COLUMNS, Slice, slices
from nbmlops.explanation.stability import Importance, unsettled
from nbmlops.explanation.subject import LOG, MARGIN, Floats

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN_COLUMNS = 10


@dataclass(frozen=True)
class Explanation(Record, Shown):
    """What each raw input column contributes to the answers of one model version.

    For every row and output ``base_values + values.sum(axis=1)`` is what the fitted model itself answers, up to
    `residual`.

    Attributes
    ----------
    model : str
        The version, ``name/3``.
    explainer, how : str
        What found the contributions, and how in a few words.
    scale : str
        What they add up to: ``log-odds``, ``probability``, ``decision value``, ``value``, ``logarithm of the value``.
    outputs : tuple of str
        The classes that are explained, the second one of two; empty for a value.
    columns : tuple of str
    rows, rows_given : int
        Rows that were explained, and that there were.
    background : int
        Rows that unknown columns were filled from; 0 where the trees' own counts of training rows did that.
    residual : float
        The largest difference between a sum and the model's own output, relative to outputs above 1.
    importance : tuple of Importance
        Columns by falling importance, with the intervals that other rows and backgrounds leave open.
    refused : tuple of (str, str)
        Explainers that were tried before, each with the reason against it.
    seconds : float, seconds
    digest : str
        ``sha256:…`` of base values and values.
    row : int or None
        Position in the data of the row that was asked for.
    prediction : str
        The id of the prediction that is explained; empty where there is none.
    answered : str
        What the endpoint had answered then, where that was kept.
    values : ndarray, shape (n_rows, n_columns) or (n_rows, n_columns, n_classes)
        The last axis only where there are several outputs.
    base_values : float or ndarray, shape (n_classes,)
    predicted : ndarray, shape (n_rows,) or (n_rows, n_classes)
        The model's own outputs on the scale.
    data : DataFrame, shape (n_rows, n_columns)
    positions : ndarray of int, shape (n_rows,)
        Where the rows stand in the data that was given.
    """

    model: str
    explainer: str
    how: str
    scale: str
    outputs: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    rows_given: int
    background: int
    residual: float
    importance: tuple[Importance, ...]
    refused: tuple[tuple[str, str], ...]
    seconds: float = field(compare=False)
    digest: str
    row: int | None = None
    prediction: str = ""
    answered: str = ""
    values: Any = field(default=None, repr=False, compare=False)
    base_values: Any = field(default=None, repr=False, compare=False)
    predicted: Any = field(default=None, repr=False, compare=False)
    data: pd.DataFrame = field(default=None, repr=False, compare=False)  # type: ignore[assignment]
    positions: Any = field(default=None, repr=False, compare=False)

    # What was found

    @property
    def unsettled(self) -> tuple[tuple[str, str], ...]:
        """Neighbours in the order of importance whose order another draw may turn round."""
        return unsettled(self.importance)

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """Importances within levels and quarters of the most important columns."""
        return tuple(slices(self.data, self._cube, self._predicted, by=self.order[:COLUMNS]))

    @property
    def order(self) -> list[int]:
        """Places of the columns, the most important first."""
        return [self.columns.index(one.column) for one in self.importance]

    @property
    def _cube(self) -> Floats:
        return np.asarray(self.values[:, :, None] if self.values.ndim == 2 else self.values)

    @property
    def _predicted(self) -> Floats:
        return np.asarray(self.predicted[:, None] if self.predicted.ndim == 1 else self.predicted)

    def of(self, output: str | None = None) -> int:
        """Return the place of an output; by default of the one that moves most.

        Raises
        ------
        InvalidInput
            There is no such output.
        """
        if output is None:
            return int(np.abs(self._cube).mean(axis=(0, 1)).argmax())
        if str(output) not in self.outputs:
            raise InvalidInput(f"nothing explains {output!r}", expected=f"one of {', '.join(self.outputs)}")
        return self.outputs.index(str(output))

    def contributions(self, row: int | None = None, *, output: str | None = None) -> dict[str, float]:
        """Return column -> contribution of one row, the largest first; with the base they add up to its output."""
        found = self._cube[self.place(row), :, self.of(output)]
        return {self.columns[one]: float(found[one]) for one in np.argsort(-np.abs(found), kind="stable")}

    def place(self, row: int | None = None) -> int:
        """Return where a row of the data stands among the explained ones; by default the one that was asked for.

        Raises
        ------
        InvalidInput
            It was not explained.
        """
        wanted = self.row if row is None else row
        if wanted is None:
            return int(np.abs(self._cube[:, :, self.of()]).sum(axis=1).argmax())
        found = np.flatnonzero(self.positions == wanted)
        if not len(found):
            raise InvalidInput(
                f"row {wanted} is not among the {self.rows:,} explained of {self.rows_given:,}",
                hint=f"Ask for it: explain({self.model!r}, data=…, row={wanted}).",
            )
        return int(found[0])

    # Pictures

    def bar(self) -> Figure:
        """Return the importances with their intervals."""
        from nbmlops.explanation.figures import bar

        return bar(self.importance, self.scale)

    def beeswarm(self, output: str | None = None) -> Figure:
        """Return every row's contributions to one output."""
        from nbmlops.explanation.figures import beeswarm

        return beeswarm(self.data, self._cube[:, :, self.of(output)], self.order, scale=self.scale_of(output))

    def dependence(self, *columns: str, output: str | None = None) -> Figure:
        """Return contributions over values of columns (default: the three most important), with interactions."""
        from nbmlops.explanation.figures import dependence

        unknown = [name for name in columns if name not in self.columns]
        if unknown:
            raise InvalidInput(f"there is no column {unknown[0]!r}", expected=f"one of {', '.join(self.columns)}")
        order = [self.columns.index(name) for name in columns] or self.order[:3]
        return dependence(self.data, self._cube[:, :, self.of(output)], order, scale=self.scale_of(output))

    def waterfall(self, row: int | None = None, *, output: str | None = None) -> Figure:
        """Return the way from the base value to one row's output."""
        from nbmlops.explanation.figures import waterfall

        place, which = self.place(row), self.of(self._likeliest(row) if output is None else output)
        names = [
            f"{name} = {plain_text(value)}" for name, value in zip(self.columns, self.data.iloc[place], strict=True)
        ]
        base = float(np.ravel(self.base_values)[which])
        return waterfall(names, self._cube[place, :, which], base=base, scale=self.scale_of(self._named(which)))

    def _likeliest(self, row: int | None) -> str | None:
        return self._named(int(self._predicted[self.place(row)].argmax()))

    def _named(self, which: int) -> str | None:
        return self.outputs[which] if self.outputs else None

    def scale_of(self, output: str | None) -> str:
        """Return the scale with the output's name."""
        named = self._named(self.of(output))
        return f"{self.scale} of {named}" if named else self.scale

    # Looks

    def _show_(self) -> Card:
        fields: dict[str, object] = {
            "explained by": f"{self.explainer} ({self.how})",
            "rows": f"{self.rows:,} of {self.rows_given:,}"
            + (f", {self.background:,} background rows" if self.background else ""),
            "adds up to": self._sums(),
            "residual": badge(f"{self.residual:.1e} from the model's own output (at most 1e-05 is shown)", "ok"),
            "refused": tuple(f"{name}: {reason}" for name, reason in self.refused),
            "answered then": self.answered,
            "time": f"{self.seconds:.1f} s",
        }
        title = f"Explanation of {self.prediction or self.model}"
        return Card(title, fields, tuple(self._tables()), self._advice())

    def _sums(self) -> str:
        if self.prediction or self.row is not None:
            place, which = self.place(), self.of(self._likeliest(None))
            base, output = float(np.ravel(self.base_values)[which]), float(self._predicted[place, which])
            sums = f"{base:.6g} (base) {output - base:+.6g} = {output:.6g}, {self.scale_of(self._named(which))}"
            return sums + _as_answer(self.scale, output)
        return f"the {self.scale}" + (f" of {', '.join(self.outputs)}" if self.outputs else "")

    def _tables(self) -> list[Table]:
        if self.prediction or self.row is not None:
            output = self._likeliest(None)
            place = self.place()
            found = self.contributions(output=output)
            rows: list[tuple[object, ...]] = [
                (name, plain_text(self.data[name].iloc[place]), f"{value:+.6g}")
                for name, value in list(found.items())[:SHOWN_COLUMNS]
            ]
            return [table(("column", "value", "contribution"), rows)]
        headers = ("column", "mean |contribution|", "95 % of the draws", "rank")
        shown = [
            (one.column, f"{one.value:.4g}", f"{one.low:.4g} to {one.high:.4g}", _ranks(one))
            for one in self.importance[:SHOWN_COLUMNS]
        ]
        return [table(headers, shown)]

    def _advice(self) -> str:
        if self.rows < 2:
            return ""
        if not self.unsettled:
            return "The order of the columns is the same in 95 % of the draws of other rows and backgrounds."
        pairs = "; ".join(f"{one} and {other}" for one, other in self.unsettled[:6])
        return f"▲ Not settled by these rows is the order of {pairs}."

    def _repr_html_(self) -> str:
        from nbmlops.explanation.page import fragment

        return fragment(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from nbmlops.explanation.page import overview

        return {"text/plain": self._show_().text, "text/html": self._repr_html_(), "image/png": overview(self)}


def _ranks(one: Importance) -> str:
    return str(one.rank) if one.settled else f"{one.rank} ({one.best_rank} to {one.worst_rank})"


def _as_answer(scale: str, output: float) -> str:
    if scale == MARGIN:
        return f"; probability {1 / (1 + np.exp(-output)):.6g} against the rest"
    return f"; value {np.exp(output):.6g}" if scale == LOG else ""
