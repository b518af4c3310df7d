"""Convert, compare, choose: nothing serves that does not say what the fitted object says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from nbmlops.conversion.estimators import as_fitted
from nbmlops.conversion.fidelity import TOLERANCE, Fidelity, agreement
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.probes import Probe, probes
from nbmlops.conversion.report import ConversionReport
from nbmlops.conversion.seam import CONVERTER_ERRORS, Converter, converters
from nbmlops.conversion.speed import speed
from nbmlops.core.progress import stage
from nbmlops.core.quiet import quiet_answers

if TYPE_CHECKING:
    from nbmlops.registry import Reference

REASON_LENGTH = 160
CHUNK = 1000  # rows
PATIENCE = 10.0  # seconds for all rows of the sample
VERSIONS = ("onnx", "onnxruntime", "scikit-learn", "skl2onnx")
RUNG = "float32"


def convert(
    model: Any,
    signature: Mapping[str, Any],
    reference: Reference | None,
    *,
    candidates: tuple[Converter, ...] | None = None,
) -> ConversionReport:
    """Convert a fitted model to ONNX where its answers stay the same.

    A converted model is chosen when, on the saved sample, every label equals the fitted object's and no probability
    (or, of a regression, no value relative to itself) differs by more than 1e-5; when the two also agree on rows
    that the sample may lack (nulls where the data had some, categories never seen, numbers far outside the range); and
    when it is no slower on a single row. (Nulls that only the fitted object answers so are refused where the converted
    one serves.) Anything else, a failing converter included, leaves the fitted object to
    serve and says why; this never raises on account of the model.

    Parameters
    ----------
    model : object
        The fitted object.
    signature : mapping
        As the registry stored it.
    reference : Reference or None
        The saved sample with the fitted object's own answers.
    candidates : tuple of Converter, optional
        What to try, in order. Default: all that are installed.
    """
    stage("converting to ONNX")
    able = [one for one in (converters() if candidates is None else candidates) if one.can_convert(model)]
    if not able:
        return _stays(f"no converter takes {type(model).__name__}")
    if reference is None or len(reference.inputs) == 0:
        return _stays("no sample of the data was kept, so there is nothing to compare a converted model with")
    reports = []
    for converter in able:
        with quiet_answers():
            reports.append(_attempt(converter, model, signature=signature, reference=reference))
        if reports[-1].chosen:
            return reports[-1]
    return next((report for report in reports if report.fidelity), reports[0])


def _stays(reason: str, fidelity: Fidelity | None = None) -> ConversionReport:
    return ConversionReport(chosen=None, rung="", reason=reason, fidelity=fidelity)


def _attempt(
    converter: Converter, model: Any, *, signature: Mapping[str, Any], reference: Reference
) -> ConversionReport:
    name = converter.name
    try:
        onnx = converter.convert(model, signature)
        fidelity = agreement(reference, *_answers(onnx, reference.inputs))
    except failures() as error:
        return _stays(f"{name} can't convert this model: {_one_line(error)}")
    if not fidelity.agrees:
        return _stays(_disagreement(name, fidelity), fidelity)
    asked = probes(reference.inputs, signature)
    for probe in asked:
        if _agrees(probe, model, onnx, signature=signature):
            continue
        if probe.spared:
            onnx = replace(onnx, without_nulls=probe.spared)
        else:
            return _stays(f"{name} made a model that answers differently for {probe.what}", fidelity)
    measured = speed(model, onnx, as_fitted(reference.inputs, signature, model), frame=reference.inputs)
    if measured.one_row < 1:
        return _stays(f"{name}'s model agrees, but is slower: {measured}", fidelity)
    return ConversionReport(
        chosen=name,
        rung=RUNG,
        reason=f"all {fidelity.rows:,} saved rows get the same answer, and one row is answered "
        f"{measured.one_row:,.3g} times as fast",
        fidelity=fidelity,
        speed=measured,
        certificate=_certificate(onnx, fidelity, reference, asked=asked),
        onnx=onnx,
    )


def _answers(onnx: OnnxModel, inputs: Any) -> tuple[Any, Any]:
    """Return the converted model's answers, a thousand rows at a time, within `PATIENCE`."""
    import numpy as np

    end = time.monotonic() + PATIENCE
    answers = []
    for start in range(0, len(inputs), CHUNK):
        if time.monotonic() > end:
            raise RuntimeError(f"its model answered only {start:,} rows in {PATIENCE:.0f} seconds")
        answers.append(onnx.predict(inputs.iloc[start : start + CHUNK]))
    labels, probabilities = zip(*answers, strict=True)
    return np.concatenate(labels), None if probabilities[0] is None else np.concatenate(probabilities)


def _disagreement(name: str, fidelity: Fidelity) -> str:
    if fidelity.labels_different:
        what = f"{fidelity.labels_different:,} of {fidelity.rows:,} saved rows get another answer"
    else:
        what = f"a probability differs by {fidelity.max_difference:.1e}, above {fidelity.tolerance:.0e}"
    return f"{name} made a model that disagrees with the fitted one: {what}"


def _agrees(probe: Probe, model: Any, onnx: OnnxModel, *, signature: Mapping[str, Any]) -> bool:
    """Compare both on rows that no sample holds; where the fitted object refuses them, the converted one must too."""
    try:
        expected = probe.answers(model, signature, with_probabilities=onnx.probability_output is not None)
    except CONVERTER_ERRORS:
        expected = None
    try:
        label, probabilities = onnx.predict(probe.rows)
    except failures():
        return expected is None
    return expected is not None and agreement(expected, _ties_aside(expected, label), probabilities).agrees


def _ties_aside(expected: Any, label: Any) -> Any:
    """Return `label`, with the expected one where two classes are equally likely: made rows lie on ties, real don't."""
    import numpy as np

    if expected.probabilities is None or np.shape(label) != np.shape(expected.predictions):
        return label
    ranked = np.sort(expected.probabilities, axis=1)
    tied = ranked[:, -1] - ranked[:, -2:].min(axis=1) <= TOLERANCE
    return np.where(tied, expected.predictions.astype(object), np.asarray(label).astype(object))


def _certificate(
    onnx: OnnxModel, fidelity: Fidelity, reference: Reference, *, asked: tuple[Probe, ...]
) -> dict[str, Any]:
    return {
        "tolerance": TOLERANCE,
        "rows": fidelity.rows,
        "probes": {probe.what: len(probe.rows) for probe in asked},
        "max_difference": fidelity.max_difference,
        "reference": reference.digest,
        "onnx": onnx.digest,
        "converter": onnx.converter,
        "opset": onnx.opset,
        "versions": {name: metadata.version(name) for name in VERSIONS},
    }


@cache
def failures() -> tuple[type[Exception], ...]:
    """Return what a conversion may fail with: a converter's errors, and ONNX Runtime's, which share no base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*kinds, *CONVERTER_ERRORS)


def _one_line(error: Exception) -> str:
    text = getattr(error, "message", str(error)).strip()
    first = (text or type(error).__name__).splitlines()[0].rstrip(".")
    return first if len(first) <= REASON_LENGTH else f"{first[:REASON_LENGTH].rstrip()}…"
