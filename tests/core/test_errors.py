"""Errors say what was received, what was expected and what to do; they are the fitting builtins too."""

from __future__ import annotations

import pickle

import pytest

from nbmlops.core import errors, optional
from nbmlops.core.errors import MissingExtra, NbmlopsError, ScoringError
from nbmlops.core.identifiers import new_id


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidInput, ValueError),
        (errors.InvalidObject, TypeError),
        (errors.NotFound, LookupError),
        (errors.Refused, RuntimeError),
        (errors.Untrusted, errors.Refused),
        (errors.Corrupt, ValueError),
        (errors.StorageError, OSError),
        (errors.EndpointError, ConnectionError),
        (errors.MissingExtra, ImportError),
    ],
)
def test_an_error_is_the_fitting_builtin_and_shows_every_part(
    error: type[NbmlopsError], builtin: type[Exception]
) -> None:
    raised = error("the name is 'a/b'", expected="letters", hint="Try 'a-b'")
    assert isinstance(raised, NbmlopsError)
    assert isinstance(raised, builtin)
    assert str(raised) == "the name is 'a/b'. Expected letters. Try 'a-b'."
    assert str(error("done?")) == "done?"


def test_a_scoring_error_carries_status_and_code() -> None:
    error = ScoringError("no", status=422, code="wrong_type", expected="numbers")
    assert (error.status, error.code, str(error)) == (422, "wrong_type", "no. Expected numbers.")
    assert isinstance(error, RuntimeError)


def test_an_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.Refused("no", hint="Wait")))
    assert str(error) == "no. Wait."


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"'nbmlops_no_such.part'.*pip install 'nbmlops\[torch\]'"):
        optional.require("nbmlops_no_such.part", "torch", "a torch module")
    assert optional.require("json.decoder", "json", "nothing").__name__ == "json.decoder"


def test_what_an_installed_package_lacks_is_not_blamed_on_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "nbmlops_half_there.py").write_text("import nbmlops_no_such_thing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nbmlops_no_such_thing") as caught:
        optional.require("nbmlops_half_there", "torch", "a torch module")
    assert not isinstance(caught.value, MissingExtra)


def test_identifiers_sort_by_time() -> None:
    made = [new_id() for _ in range(200)]
    assert made == sorted(made)
    assert len(set(made)) == 200
    assert all(len(one) == 36 and one[14] == "7" for one in made)
