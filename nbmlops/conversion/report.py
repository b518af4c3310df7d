"""What came of a conversion: what serves, how well it agrees, how fast it is, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.certificate import speeds
from nbmlops.conversion.fidelity import Fidelity
from nbmlops.conversion.ladder import Attempt
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.speed import Speed
from nbmlops.core.display import Card, Shown, Table, badge, table
from nbmlops.core.errors import Refused
from nbmlops.core.records import Record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHOWN_FLIPS = 10


@dataclass(frozen=True)
class ConversionReport(Record, Shown):
    """The outcome of a conversion.

    Attributes
    ----------
    chosen : str or None
        Name of the converter whose model serves; None where the fitted object itself does.
    rung : str
        The rung of `nbmlops.conversion.rungs` that was chosen, such as ``float32``; empty where none was.
    reason : str
        Why, in one sentence.
    fidelity : Fidelity or None
        Agreement on the saved sample; None where it did not come to a comparison.
    speed : Speed or None
        Against the fitted object's own ``predict``, at several numbers of rows.
    certificate : mapping
        What the choice rests on, without any row (see `nbmlops.conversion.certificate`); empty where nothing was tried.
    onnx : OnnxModel or None
        The model that serves.
    trail : tuple of Attempt
        Everything that was tried, in order.
    flips : DataFrame or None
        Every row that was answered otherwise in the attempt that `reason` tells of, with both answers; of the first
        kind of rows that disagreed.
    """

    chosen: str | None
    rung: str
    reason: str
    fidelity: Fidelity | None = None
    speed: Speed | None = None
    certificate: Mapping[str, Any] = field(default_factory=dict)
    onnx: OnnxModel | None = field(default=None, repr=False)
    trail: tuple[Attempt, ...] = field(default=(), repr=False)
    flips: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    def predict(self, rows: Any) -> np.ndarray:
        """Return the converted model's labels or values, shape (n_rows,) or (n_rows, n_outputs).

        Raises
        ------
        Refused
            Nothing was converted.
        """
        return self._run(rows)[0]

    def predict_proba(self, rows: Any) -> np.ndarray | None:
        """Return the converted model's probabilities, shape (n_rows, n_classes); None where it has none."""
        return self._run(rows)[1]

    def _run(self, rows: Any) -> tuple[np.ndarray, np.ndarray | None]:
        if self.onnx is None:
            raise Refused(f"there is no converted model: {self.reason}", hint="Call the fitted object's own predict.")
        label, probabilities = self.onnx.predict(rows)
        return (label.ravel() if label.ndim == 2 and label.shape[1] == 1 else label), probabilities

    def _show_(self) -> Card:
        chosen = badge(f"ONNX Runtime, converted by {self.chosen} in {self.rung}", "ok")
        fields: dict[str, object] = {
            "serves": chosen if self.chosen else badge("the fitted object in its own runtime", "info"),
            "why": self.reason,
        }
        if self.fidelity is not None:
            fit = self.fidelity
            fields["rows compared"] = f"{fit.rows:,}, {fit.labels_different:,} with another answer"
            fields["largest difference"] = f"{fit.max_difference:.1e} (at most {fit.tolerance:.0e})"
        if self.certificate:
            rows = self.certificate["rows"]
            fields["rows made"] = f"{rows['made']:,} mixed, {sum(rows['adversarial'].values()):,} adversarial"
        if self.speed is not None:
            fields["speed"] = f"{self.speed} against the fitted object"
        return Card("Conversion", fields, self._tables())

    def _tables(self) -> tuple[Table, ...]:
        made = []
        if len(self.trail) > 1:
            tried = ((f"{one.rung} ({one.converter})", one.outcome) for one in self.trail)
            made.append(table(("rung", "outcome"), tried, caption="What was tried"))
        if self.speed is not None:
            made.append(speeds(self.speed.to_dict()))
        if self.flips is not None:
            shown = self.flips.head(SHOWN_FLIPS).astype(object).to_numpy().tolist()
            caption = f"Rows answered otherwise: {len(shown):,} of {len(self.flips):,}"
            made.append(table((str(name) for name in self.flips.columns), shown, caption=caption))
        return tuple(made)
