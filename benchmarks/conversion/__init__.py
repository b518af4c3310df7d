"""The matrix of conversions: run, held against its goals, and told."""
