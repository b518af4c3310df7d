"""What shap does, in a process of its own."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from nbmlops.core.progress import stages
from nbmlops.explanation import Explainer, Part, Prepared, Subject
from nbmlops.explanation.apart import apart
from nbmlops.explanation.choice import bounded, distance, explained
from nbmlops.explanation.kernel import Kernel
from nbmlops.explanation.trees import LeafPaths, ShapTrees
from nbmlops.testing.explainers import check_explainer
from tests.explanation.conftest import prepared


@pytest.fixture(scope="module")
def forest(flights: pd.DataFrame, late: np.ndarray) -> Subject:
    model = prepared(RandomForestClassifier(5, max_depth=5, random_state=0)).fit(flights, late)
    return Subject(model, flights.iloc[:40], flights, classes=(0, 1))


@pytest.mark.integration
def test_shap_explains_a_forest_there_and_says_how_far_it_is(forest: Subject) -> None:
    said: list[str] = []
    with stages(said.append):
        found = explained(forest, seconds=60, candidates=(ShapTrees(),))
    assert found.residual <= 1e-6
    assert any(text.endswith("40 of 40 rows") for text in said)
    own = LeafPaths().prepare(forest).explain(forest.rows)
    np.testing.assert_allclose(found.values, own.values, atol=1e-9)


def elsewhere(failure: str = "") -> Explainer:
    """Return one that answers with the number of its process, or fails there."""

    class Elsewhere:  # inside, so that its code is pickled with it and the tests are not imported there
        name, apart = "elsewhere", True

        def can_explain(self, subject: Subject) -> bool:
            return True

        def prepare(self, subject: Subject) -> Prepared:
            if failure:
                raise ValueError(failure)
            print("a model may print")
            pid = float(os.getpid())
            return Prepared(lambda rows: Part(np.full((len(rows), 8, 1), pid)), np.zeros(1), "probability", 0, "its id")

    return Elsewhere()


@pytest.mark.integration
def test_it_is_another_process_and_its_failure_is_told(flights: pd.DataFrame) -> None:
    subject = Subject(len, flights.iloc[:5], flights)
    part, prepared = apart(elsewhere(), subject, 10)
    assert len(np.unique(part.values)) == 1
    assert part.values[0, 0, 0] != os.getpid()
    assert prepared.how == "its id"
    with pytest.raises(RuntimeError, match="no trees here"):
        apart(elsewhere("no trees here"), subject, 10)


def test_kernel_is_the_last_resort_for_any_dtype(flights: pd.DataFrame) -> None:
    rows = flights[["carrier", "sky", "wind"]]

    def answer(frame: pd.DataFrame) -> np.ndarray:
        return ((frame.carrier == "A") * 2.0 + (frame.sky == "rain") + frame.wind).to_numpy()

    subject = Subject(answer, rows.iloc[:3], rows)
    part, prepared_ = bounded(Kernel(), subject, 60)
    sums = part.values.sum(axis=1) + prepared_.base_values
    assert distance(sums, subject.output("value", subject.rows)) <= 1e-6


def test_the_shipped_ones_keep_the_promises_of_the_seam(forest: Subject, flights: pd.DataFrame) -> None:
    from nbmlops.explanation.permutation import Permutation

    few = Subject(forest.model, flights.iloc[:6], flights.iloc[:50], classes=(0, 1))
    check_explainer(LeafPaths(), few)
    check_explainer(Permutation(background=5), few)
