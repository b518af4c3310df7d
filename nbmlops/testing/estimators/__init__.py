"""The matrix of conversions: models of every kind, rows to fit them on, and an independent check of what is chosen."""

from nbmlops.testing.estimators import boosted, composed, single
from nbmlops.testing.estimators.case import CONVERTS, EITHER, STAYS, Case, Fitted

CATALOGUE: tuple[Case, ...] = (*single.CASES, *boosted.CASES, *composed.CASES)
"""Every case, in the order in which tables show them."""


def named(name: str) -> Case:
    """Return the case of that name.

    Raises
    ------
    KeyError
        The catalogue has none of that name.
    """
    return {case.name: case for case in CATALOGUE}[name]


__all__ = ["CATALOGUE", "CONVERTS", "EITHER", "STAYS", "Case", "Fitted", "named"]
