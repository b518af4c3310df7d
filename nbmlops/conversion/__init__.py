"""Convert a fitted model to ONNX, and prove on the user's own rows that it still says the same."""

from nbmlops.conversion.choice import convert
from nbmlops.conversion.fidelity import Fidelity, agreement
from nbmlops.conversion.ladder import Attempt, Terms
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.options import Options
from nbmlops.conversion.report import ConversionReport
from nbmlops.conversion.seam import Converter, converters
from nbmlops.conversion.speed import Speed

__all__ = [
    "Attempt",
    "ConversionReport",
    "Converter",
    "Fidelity",
    "OnnxModel",
    "Options",
    "Speed",
    "Terms",
    "agreement",
    "convert",
    "converters",
]
