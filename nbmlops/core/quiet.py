"""Keep a model's own remarks out of the cell where nbmlops asks it, and not the user."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_answers() -> Iterator[None]:
    """Silence what a fitted object says about rows that nbmlops sends it.

    scikit-learn remarks that an array came with names, that a category was never seen, that a number overflowed. The
    answers are the same or are compared, so nothing is lost.
    """
    with warnings.catch_warnings():
        for remark in (UserWarning, RuntimeWarning):
            warnings.simplefilter("ignore", remark)
        yield
