"""Convert a fitted model to ONNX, and prove on the user's own rows that it still says the same."""

from nbmlops.conversion.choice import convert
from nbmlops.conversion.fidelity import Fidelity, agreement
from nbmlops.conversion.onnx_model import OnnxModel
from nbmlops.conversion.report import ConversionReport, Speed
from nbmlops.conversion.seam import Converter, converters

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
