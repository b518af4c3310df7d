"""What came of a conversion: what serves, how well it agrees, how fast it is, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.fidelity import Fidelity
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.core.display import Card, Shown, badge
from nbmlops.core.errors import Refused
from nbmlops.core.records import Record

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Speed(Record):
    """Medians of one call, measured one after the other in one process.

    Attributes
    ----------
    rows : tuple of int
        Rows in a call: one, and a batch.
    fitted_ms, onnx_ms : tuple of float, milliseconds
        Time of the fitted object's own ``predict``, and of ONNX Runtime with one thread.
    """

    rows: tuple[int, int]
    fitted_ms: tuple[float, float]
    onnx_ms: tuple[float, float]

    @property
    def one_row(self) -> float:
        """How many times faster ONNX Runtime answers one row."""
        return self.fitted_ms[0] / self.onnx_ms[0]

    @property
    def batch(self) -> float:
        """How many times faster ONNX Runtime answers a batch."""
        return self.fitted_ms[1] / self.onnx_ms[1]

    def __str__(self) -> str:
        return f"{self.one_row:,.3g} × at 1 row, {self.batch:,.3g} × at {self.rows[1]:,} rows"


@dataclass(frozen=True)
class ConversionReport(Record, Shown):
    """The outcome of a conversion.

    Attributes
    ----------
    chosen : str or None
        Name of the converter whose model serves; None where the fitted object itself does.
    rung : str
        The arithmetic of the converted model, ``float32``; empty where nothing was converted.
    reason : str
        Why, in one sentence.
    fidelity : Fidelity or None
        Agreement on the saved sample; None where it did not come to a comparison.
    speed : Speed or None
    certificate : mapping
        What the choice rests on: tolerance, numbers of rows, digests of sample and model, versions.
    onnx : OnnxModel or None
        The model that serves.
    """

    chosen: str | None
    rung: str
    reason: str
    fidelity: Fidelity | None = None
    speed: Speed | None = None
    certificate: Mapping[str, Any] = field(default_factory=dict)
    onnx: OnnxModel | None = field(default=None, repr=False)

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
        if self.speed is not None:
            fields["speed"] = f"{self.speed} against the fitted object"
        return Card("Conversion", fields)
