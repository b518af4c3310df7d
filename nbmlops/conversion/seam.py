"""The seam for converters: three names, found by the entry-point group ``nbmlops.converters``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.rungs import FLOAT32
from nbmlops.core.errors import LIBRARY_ERRORS

GROUP = "nbmlops.converters"
LATE = ("hummingbird",)
"""Converters by the way of another framework, whose graphs are larger and rounded to float32 throughout."""
CONVERTER_ERRORS = LIBRARY_ERRORS
"""What a converter may fail with: skl2onnx has no error of its own for a model that it can't take."""


@runtime_checkable
class Converter(Protocol):
    """Turns a kind of fitted model into ONNX. It need not be right: what it makes is compared before it serves.

    `nbmlops.testing.converters.check_converter` runs the conformance checks.

    Attributes
    ----------
    name : str
        Shown as ``ConversionReport.chosen``.
    rungs : tuple of str
        The rungs of `nbmlops.conversion.rungs` that it can make. One without this attribute makes ``float32``, and is
        never asked for another.
    """

    name: str

    def can_convert(self, model: Any) -> bool:
        """Return whether it is worth a try, without doing any work."""

    def convert(self, model: Any, signature: Mapping[str, Any], *, rung: str = FLOAT32) -> OnnxModel:
        """Return `model` in ONNX, or raise one of `CONVERTER_ERRORS`, whose first line is the reason.

        `rung` is one of `rungs`. The same model and signature give the same bytes. `model` is left as it was.
        """


def rungs_of(converter: Converter) -> tuple[str, ...]:
    """Return the rungs that a converter can make."""
    return tuple(getattr(converter, "rungs", (FLOAT32,)))


def converters() -> tuple[Converter, ...]:
    """Return the installed converters in the order in which they are tried.

    First those of nbmlops, then others by name, then what takes nearly anything, and last those that convert with
    others.
    """
    from nbmlops.conversion.exact import ExactConverter
    from nbmlops.conversion.outside import outside_converters
    from nbmlops.conversion.scikit_learn import SklearnConverter

    found = {point.name: point for point in entry_points(group=GROUP)}
    own = (SklearnConverter(), ExactConverter())
    names = sorted(found, key=lambda name: (name in LATE, name))
    others = [found[name].load()() for name in names if name not in {one.name for one in own}]
    return (*own, *others, *outside_converters())
