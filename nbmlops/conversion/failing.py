"""What a conversion, a converted model or a fitted one may fail with, and how that is told in one line."""

from __future__ import annotations

import sys

from nbmlops.conversion.seam import CONVERTER_ERRORS

REASON_LENGTH = 160
OWN_ERRORS = {
    "lightgbm.basic": "LightGBMError",
    "_catboost": "CatBoostError",
    "catboost.core": "CatBoostError",
}
"""Modules, looked at where they are loaded, whose errors share no base with others."""


def failures() -> tuple[type[Exception], ...]:
    """Return what may be raised: a converter's errors, those of model libraries, and ONNX Runtime's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    others = [getattr(sys.modules[name], error) for name, error in OWN_ERRORS.items() if name in sys.modules]
    return (*kinds, *others, *CONVERTER_ERRORS)


def one_line(error: Exception) -> str:
    """Return the first line of an error's message, cut where it is long."""
    text = getattr(error, "message", str(error)).strip()
    first = (text or type(error).__name__).splitlines()[0].rstrip(".")
    return first if len(first) <= REASON_LENGTH else f"{first[:REASON_LENGTH].rstrip()}…"
