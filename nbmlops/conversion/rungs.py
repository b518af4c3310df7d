"""The rungs of the ladder: the ways in which a model can be written in ONNX, the cheapest first."""

from __future__ import annotations

FLOAT32 = "float32"
"""All in float32, numbers as well as trees."""
FLOAT64_PREPROCESSING = "float64-preprocessing"
"""Numbers go in and are prepared in float64; a cast to float32 stands before the estimator."""
FLOAT64 = "float64"
"""All in float64, the thresholds and leaves of trees too."""
ROUNDED = "rounded-thresholds"
"""float32, with each threshold of a tree moved to the float32 that parts the same float32 numbers."""
OUTSIDE = "preprocessing-outside"
"""The preprocessing stays in its own runtime, and ONNX Runtime runs the estimator behind it."""

RUNGS = (FLOAT32, FLOAT64_PREPROCESSING, FLOAT64, ROUNDED, OUTSIDE)
"""All rungs, in the order in which they are tried; after the last one the fitted object itself serves."""
