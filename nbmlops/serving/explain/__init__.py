"""Contributions of a model's input columns to one answer, with NumPy alone: trees exactly, linear models exactly."""
