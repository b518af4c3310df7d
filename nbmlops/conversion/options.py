"""What may be done to a converted model before it is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbmlops.core.records import Record

if TYPE_CHECKING:
    from nbmlops.conversion.onnx_model import OnnxModel


@dataclass(frozen=True)
class Options(Record):
    """Options of a conversion; whatever they do passes the same comparison.

    Attributes
    ----------
    quantize : bool
    optimize : str
        Level of graph optimisation; empty for none.
    provider : str
        Name of ONNX Runtime's execution provider; empty for the CPU.
    """

    quantize: bool = False
    optimize: str = ""
    provider: str = ""


def applied(onnx: OnnxModel, options: Options) -> OnnxModel:
    """Return `onnx` as the options want it."""
    return onnx
