"""Models whose terms belong to one raw column each: contributions looked up or one multiplication, no model needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..errors import ServingError

Floats = npt.NDArray[np.float64]

FORMAT = 1
STATEMENT = "explanation.json"


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one column adds, one number for each output.

    Attributes
    ----------
    name : str
    levels : dict of str to list of float
        By `key` of the value; empty where the column is a number on a line.
    slope, intercept : list of float
        Of a line.
    other, missing : list of float, optional
        Of a value that is no level, and of none; None where the model takes no such value.
    """

    name: str
    levels: dict[str, list[float]] = {}
    slope: list[float] = []
    intercept: list[float] = []
    other: list[float] | None = None
    missing: list[float] | None = None

    def contributions(self, values: Sequence[Any], outputs: int) -> Floats:
        """Return what each value adds, shape (n_rows, n_outputs); NaN where the model takes no such value."""
        nothing = [np.nan] * outputs
        other, missing = self.other or nothing, self.missing or nothing
        if self.levels:
            return np.array([missing if is_null(one) else self.levels.get(key(one), other) for one in values])
        numbers = np.array([np.nan if is_null(one) else float(one) for one in values], dtype=np.float64)
        line = numbers[:, None] * self.slope + self.intercept
        return np.where(np.isnan(numbers)[:, None], missing, line)


class Additive(msgspec.Struct, frozen=True):
    """A base and a term for every column, on a scale whose `link` leads to the model's answer.

    Attributes
    ----------
    base : list of float
        One for each output.
    scale : str
        What base and terms add up to.
    link : str
        ``identity``, ``exp``, ``logistic`` (of the second of two classes) or ``softmax``.
    outputs : list of str
        The classes that are explained; empty for a value.
    terms : list of Term
        In the order of the model's columns.
    """

    base: list[float]
    scale: str
    link: str
    outputs: list[str]
    terms: list[Term]
    format: int = FORMAT

    def contributions(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """Return what each column adds, shape (n_rows, n_columns, n_outputs)."""
        outputs = len(self.base)
        return np.stack(
            [term.contributions(values, outputs) for term, values in zip(self.terms, columns, strict=True)], axis=1
        )

    def answers(self, sums: Floats) -> Floats:
        """Return what the model answers where its terms add up to `sums`, shape (n_rows, n_outputs)."""
        return LINKS[self.link](sums)


def _softmax(sums: Floats) -> Floats:
    raised = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


LINKS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda sums: sums,
    "exp": np.exp,
    "logistic": lambda sums: 1 / (1 + np.exp(-sums)),
    "softmax": _softmax,
}


def is_null(value: Any) -> bool:
    """Return whether a value is None or NaN."""
    return value is None or value != value


def key(value: Any) -> str:
    """Return the key of a level: a number's is the same whatever its type.

    >>> key(True), key(1), key("AA")
    ('1.0', '1.0', 'AA')
    """
    return value if isinstance(value, str) else repr(float(value))


def read(bundle: Path, digest: str) -> Additive | None:
    """Return what is stated beside a bundle of how its model adds up; None where nothing is.

    Raises
    ------
    ServingError
        ``corrupt_bundle``: the statement can't be read, or is about another bundle.
    """
    hexadecimal = digest.rpartition(":")[2]
    path = bundle.with_name(f"{hexadecimal}.attestations") / STATEMENT
    if not path.exists():
        return None
    try:
        statement = json.loads(path.read_bytes())
        if statement["subject"][0]["digest"]["sha256"] != hexadecimal:
            raise ValueError("it is about another bundle")
        found = msgspec.convert(statement["predicate"], Additive)
    except (ValueError, LookupError, TypeError, msgspec.ValidationError) as error:
        raise ServingError("corrupt_bundle", f"the explanation beside the bundle can't be read: {error}") from error
    if found.format != FORMAT:
        raise ServingError("corrupt_bundle", f"the explanation has format {found.format}; this server reads {FORMAT}")
    return found
