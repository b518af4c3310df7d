"""nbmlops: from the cell a model was fitted in to production and back."""

__version__ = "0.1.0"
