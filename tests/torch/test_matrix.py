"""The gate alone against Hummingbird, which is wrong about much without an error, and right about some."""

from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits

from nbmlops.conversion import ladder, speed
from nbmlops.conversion.hummingbird import HummingbirdConverter
from nbmlops.conversion.ladder import Terms
from nbmlops.testing.estimators import named
from nbmlops.testing.estimators.matrix import outcome

WRONG = (
    "logistic regression, ten classes",
    "ridge, seconds and identifiers",
    "decision tree, regression",
    "gradient boosting, regression",
    "histogram boosting, Poisson",
    "a function",
    "normalised rows",
)
RIGHT = ("lasso", "naive Bayes of bits", "neural network of tanh, ten classes")


def alone(name):
    """Return what comes of a case where Hummingbird is the only converter and nothing is known against it."""
    with threadpool_limits(1):
        return outcome(
            named(name).fitted(),
            rows=2000,
            pairs=12,
            candidates=(HummingbirdConverter(),),
            terms=Terms(known=()),
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS_EACH", 0.004)
    monkeypatch.setattr(ladder, "SIZES", (1,))


@pytest.mark.parametrize("name", WRONG)
def test_what_it_gets_wrong_is_rejected_by_the_comparison(name):
    report = alone(name).report
    assert report.chosen is None
    assert [attempt.state for attempt in report.trail] == ["unfaithful"], report.reason


@pytest.mark.parametrize("name", RIGHT)
def test_what_it_gets_right_is_right_on_fresh_rows_too(name):
    found = alone(name)
    assert found.report.chosen == "hummingbird", found.report.reason
    assert found.verdict.wrong == 0, str(found.verdict)
