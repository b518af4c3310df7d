"""What a failed proof names, from what was raised."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nbmlops.core.errors import EndpointError, Refused, ScoringError
from nbmlops.deployment.findings import explain, reordered
from nbmlops.registry import Reference


def found(last: str, *, traceback: str = "", notes: tuple[str, ...] = ()) -> str:
    error: EndpointError | ScoringError = EndpointError(f"the model can't be loaded: {last}")
    if traceback:
        error = ScoringError("the model raised", status=500, code="model_failed")
        error.traceback = traceback + last
    refusal = explain(error, "late/3", notes=notes)
    assert isinstance(refusal, Refused)
    assert str(refusal).startswith("late/3 does not work in a fresh environment: ")
    return str(refusal)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ("ModuleNotFoundError: No module named 'sklearn.ensemble'", "package scikit-learn (module 'sklearn.ensemble')"),
        (
            "ModuleNotFoundError: No module named 'nowhere_at_all'",
            "module 'nowhere_at_all' is missing, and this kernel",
        ),
        ("ModuleNotFoundError: No module named 'nbmlops'", "helper module 'nbmlops'"),
        ("ImportError: cannot import name 'gone' from 'sklearn.base' (x)", "'sklearn.base' has no 'gone'"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'a/words.txt'", "--asset a/words.txt"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/data/words.txt'",
            "file /data/words.txt is missing",
        ),
        ("NameError: name 'factor' is not defined", "the name 'factor' that its code relies on"),
        ("UndefinedVariableError: local variable 'factor' is not defined", "the name 'factor' that its code relies on"),
        ("AttributeError: Can't get attribute 'clean' on <module '__main__'>", "function or class 'clean'"),
        ("KeyError: 'carrier'", "its code asks for 'carrier', which the rows"),
        ("ZeroDivisionError: division by zero", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(last: str, told: str) -> None:
    assert told in found(last)
    assert told in found(last, traceback="Traceback (most recent call last):\n  in predict\n")


def test_what_was_raised_last_counts() -> None:
    before = "KeyError: 'factor'\n\nDuring handling of the above exception, another exception occurred:\n\n"
    assert "the name 'factor'" in found("UndefinedVariableError: name 'factor' is not defined", traceback=before)
    before = before.replace("KeyError: 'factor'", "NameError: name 'factor' is not defined")
    assert "its code asks for 'carrier'" in found("KeyError: 'carrier'", traceback=before)


def test_what_was_noticed_at_the_registration_is_repeated() -> None:
    said = found("NameError: name 'x' is not defined", notes=("cell 3 was deleted",))
    assert "Noticed at its registration: cell 3 was deleted." in said


def test_a_file_that_is_here_is_told_from_one_that_is_nowhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    last = "FileNotFoundError: [Errno 2] No such file or directory: 'words.txt'"
    assert "not below this kernel's folder either" in found(last)
    Path("words.txt").write_text("late")
    assert "not below" not in found(last)


def test_only_columns_whose_categories_differ_are_told() -> None:
    frame = pd.DataFrame({"a": pd.Categorical(["x"], ["y", "x"]), "b": pd.Categorical([1], [1, 2]), "c": [1.0]})
    reference = Reference(frame, frame["c"].to_numpy(), None, None)
    same = [{"name": "a", "categories": ["y", "x"]}, {"name": "b", "categories": [1, 2]}, {"name": "c"}]
    assert reordered(reference, same) == ""
    assert reordered(reference, None) == ""
    other = [{"name": "a", "categories": ["x", "y"]}, *same[1:]]
    assert reordered(reference, other) == (
        "column 'a' was fitted with its categories in the order y, x and is served with x, y"
    )
