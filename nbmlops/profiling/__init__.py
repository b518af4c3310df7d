"""Measure what serving a model costs, on the server that a deploy would start, with the user's own rows."""

from nbmlops.profiling.load import Measured, drive
from nbmlops.profiling.measuring import profile
from nbmlops.profiling.report import Level, ProfileReport, Recommendation

__all__ = ["Level", "Measured", "ProfileReport", "Recommendation", "drive", "profile"]
