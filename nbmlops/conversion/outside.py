"""The last rung: a pipeline's preprocessing stays in its own runtime, and the estimator behind it is converted.

What a converter can't say in ONNX is most often the preprocessing: a function of the user's, text, a binning whose
edges are compared otherwise. The time is most often spent in the estimator, which converts alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from nbmlops.conversion.estimators import as_fitted
from nbmlops.conversion.known import KNOWN, refusal
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT32, FLOAT64, OUTSIDE, ROUNDED
from nbmlops.conversion.seam import CONVERTER_ERRORS, Converter, converters, rungs_of
from nbmlops.core.errors import InvalidObject

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nbmlops.serving.runtimes.hybrid import Preprocessing

WIDEST = 10_000
"""Features that the estimator may take. They travel as a dense array: a thousand rows of so many take 40 MB as
float32, and the preprocessing of texts can give far more, of which nearly all are zero."""
ROWS = "rows"


@dataclass(frozen=True)
class HybridModel(OnnxModel):
    """An estimator in ONNX behind its pipeline's own preprocessing.

    Attributes
    ----------
    preprocessing : Preprocessing or None
        The fitted steps. A bundle holds the whole pipeline as it was registered, and takes them from there.
    pipeline : object
        The fitted pipeline.
    signature : mapping
        Of the pipeline.
    """

    runtime: ClassVar[str] = "hybrid"

    preprocessing: Preprocessing | None = field(default=None, repr=False, compare=False)
    pipeline: Any = field(default=None, repr=False, compare=False)
    signature: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def feeds(self, rows: pd.DataFrame | np.ndarray) -> dict[str, Any]:
        """Return the rows in the form that the pipeline takes: what comes before the graph is part of running it."""
        return {ROWS: as_fitted(rows, self.signature, self.pipeline) if hasattr(rows, "columns") else rows}

    def run(self, feeds: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return labels (or regression values) and, where the model has them, probabilities."""
        assert self.preprocessing is not None
        return super().run(super().feeds(self.preprocessing(feeds[ROWS])))


class OutsideConverter:
    """Converts a pipeline's last step alone, with whichever converter takes it.

    Parameters
    ----------
    name : str
    inner : tuple of str
        The rungs that the last step is asked for, in this order.
    """

    rungs = (OUTSIDE,)

    def __init__(self, name: str, inner: tuple[str, ...]) -> None:
        self.name = name
        self._inner = inner

    def can_convert(self, model: Any) -> bool:
        """Return whether `model` is a pipeline whose last step some converter takes."""
        from nbmlops.serving.runtimes.hybrid import parted

        found = parted(model)
        return found is not None and any(True for _ in _able(found[1], self._inner))

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = OUTSIDE) -> HybridModel:
        """Return the last step of `model` in ONNX behind its preprocessing.

        Raises
        ------
        InvalidObject
            `model` is no pipeline, its estimator takes too many features, or no converter takes the estimator.
        """
        from nbmlops.serving.runtimes.hybrid import Preprocessing, parted, refused_by

        found = parted(model)
        if found is None:
            raise InvalidObject(f"a {type(model).__name__} is no pipeline with an estimator at its end")
        steps, last = found
        onnx = self._converted(last, signature)
        return HybridModel(
            **{one.name: getattr(onnx, one.name) for one in fields(OnnxModel)},
            preprocessing=Preprocessing(steps, refused_by(last)),
            pipeline=model,
            signature=signature,
        )

    def _converted(self, last: Any, signature: Mapping[str, Any]) -> OnnxModel:
        width = getattr(last, "n_features_in_", None)
        if not isinstance(width, int):
            raise InvalidObject(f"it is unknown how many features the {type(last).__name__} takes")
        if width > WIDEST:
            raise InvalidObject(
                f"the {type(last).__name__} takes {width:,} features; more than {WIDEST:,} are too many to make dense"
            )
        reasons: list[Exception] = []
        for converter, rung in _able(last, self._inner):
            try:
                onnx = converter.convert(last, _behind(signature, width, rung), rung=rung)
            except CONVERTER_ERRORS as error:
                reasons.append(error)
                continue
            if [one["column"] for one in onnx.inputs] == [None]:
                return onnx
            reasons.append(InvalidObject(f"{converter.name} splits the one array that the preprocessing gives"))
        raise reasons[0] if reasons else InvalidObject(f"no converter takes the {type(last).__name__}")


def _able(last: Any, rungs: tuple[str, ...]) -> Iterator[tuple[Converter, str]]:
    """Yield what may convert the last step, by rung and then by converter; none that is known to get it wrong."""
    others = [one for one in converters() if not isinstance(one, OutsideConverter)]
    for rung in rungs:
        for one in others:
            if rung in rungs_of(one) and one.can_convert(last) and not refusal(one, last, rung, known=KNOWN):
                yield one, rung


def _behind(signature: Mapping[str, Any], width: int, rung: str) -> dict[str, Any]:
    """Return the signature of the last step: one array of what the preprocessing gives."""
    dtype = "float64" if rung == FLOAT64 else "float32"
    tensor = {"dtype": dtype, "shape": [-1, width]}
    return {**signature, "inputs": {"tensor": tensor}, "example": None}


def outside_converters() -> tuple[OutsideConverter, ...]:
    """Return one that keeps the numbers of the preprocessing as they are, and one for estimators in float32 alone."""
    return (
        OutsideConverter("outside-float64", (FLOAT64, ROUNDED)),
        OutsideConverter("outside-float32", (FLOAT32,)),
    )
