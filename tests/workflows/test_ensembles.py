"""Ensembles: how they are written, and which members fit together."""

from __future__ import annotations

import pytest

from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.core.records import ModelVersion
from nbmlops.workflows.ensembles import Member, check_fit, is_ensemble, parse

A, B = ModelVersion("a", 3), ModelVersion("b", 1)
SIGNATURE = {
    "inputs": [{"name": "x", "type": "double"}, {"name": "y", "type": "string"}],
    "task": "classification",
    "classes": [0, 1],
}


def test_how_an_ensemble_is_written() -> None:
    assert parse("a/3:3 + b@champion:0.5+c") == (Member("a/3", 3.0), Member("b@champion", 0.5), Member("c", 1.0))
    assert is_ensemble("a/3:3+b/1:1")
    assert not is_ensemble("a/3")


@pytest.mark.parametrize("text", ["a/3:3", "a/3:much+b/1", "+b/1", "a/3+"])
def test_what_is_no_ensemble(text: str) -> None:
    with pytest.raises(InvalidInput, match="ensemble"):
        parse(text)


def test_the_order_of_columns_does_not_matter() -> None:
    check_fit([A, B], [SIGNATURE, SIGNATURE | {"inputs": SIGNATURE["inputs"][::-1]}])


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"inputs": SIGNATURE["inputs"][:1]}, "column 'y' is string in the one and not taken in the other"),
        ({"inputs": [*SIGNATURE["inputs"], {"name": "z", "type": "long"}]}, "column 'z' is not taken in the one"),
        (
            {"inputs": [{"name": "x", "type": "long"}, SIGNATURE["inputs"][1]]},
            "column 'x' is double in the one and long in the other",
        ),
        ({"classes": [0, 1, 2]}, "their classes differ, 0, 1 and 0, 1, 2"),
        ({"task": "regression"}, "their task differ"),
    ],
)
def test_members_that_can_not_answer_together(facts, message) -> None:
    with pytest.raises(Refused, match=f"a/3 and b/1 can't answer together: .*{message}"):
        check_fit([A, B], [SIGNATURE, SIGNATURE | facts])
