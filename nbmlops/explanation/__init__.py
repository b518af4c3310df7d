"""Why a model answers what it answers: contributions of the raw input columns, checked against the model itself."""

from nbmlops.explanation.explaining import ROWS, Asked, chosen, explain
from nbmlops.explanation.report import Explanation
from nbmlops.explanation.seam import Explainer, Part, Prepared, explainers
from nbmlops.explanation.stability import Importance
from nbmlops.explanation.subject import Subject

__all__ = [
    "ROWS",
    "Asked",
    "Explainer",
    "Explanation",
    "Importance",
    "Part",
    "Prepared",
    "Subject",
    "chosen",
    "explain",
    "explainers",
]
