"""Convert a fitted model to ONNX, and prove on the user's own rows that it still says the same."""

from nbmlops.conversion.agreement import Fidelity, agreement
from nbmlops.conversion.convert import convert
from nbmlops.conversion.converters import Converter, converters
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.report import ConversionReport, Speed

__all__ = [
    "ConversionReport",
    "Converter",
    "Fidelity",
    "OnnxModel",
    "Speed",
    "agreement",
    "convert",
    "converters",
]
