"""Every case of the catalogue through the gate; what it chooses is checked by what shares nothing with it."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import pytest
from threadpoolctl import threadpool_limits

from nbmlops.conversion import ladder, speed
from nbmlops.conversion.ladder import Terms
from nbmlops.testing.estimators import CATALOGUE, named
from nbmlops.testing.estimators.matrix import outcome
from tests.conversion.wrong_converters import WRONG, WrongConverter

ROWS = 2000
PAIRS = 12
CASES = [case for case in CATALOGUE if not case.needs or find_spec(case.needs)]

fitted = cache(lambda name: named(name).fitted())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One row decides here, and a short look at it: the benchmark measures the rest."""
    monkeypatch.setattr(speed, "SECONDS_EACH", 0.004)
    monkeypatch.setattr(ladder, "SIZES", (1,))
    with threadpool_limits(1):
        yield


def run(name, **options):
    return outcome(fitted(name), rows=ROWS, pairs=PAIRS, **options)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_nothing_wrong_is_chosen_not_even_without_the_list_of_what_is_known_to_be_wrong(name):
    found = run(name)
    assert not list(found.faults())
    if any(attempt.state == "refused" for attempt in found.report.trail):
        alone = run(name, terms=Terms(known=()))
        assert not any(attempt.state == "refused" for attempt in alone.report.trail)
        assert alone.verdict is None or not alone.verdict.wrong, str(alone.verdict)


@pytest.mark.parametrize(("spoil", "name"), [(spoil, name) for spoil, names in WRONG for name in names])
def test_a_converter_that_is_wrong_on_purpose_is_never_chosen(spoil, name):
    report = run(name, candidates=(WrongConverter("wrong", spoil),)).report
    assert report.chosen is None
    assert [attempt.state for attempt in report.trail] == ["unfaithful"]
    assert "disagrees" in report.reason
