from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier

from nbmlops.conversion import evidence as gathering
from nbmlops.conversion.evidence import FEWEST_ROWS, Evidence
from nbmlops.conversion.mixing import mixed
from tests.conversion.conftest import make_case


def test_a_short_sample_is_filled_up_to_a_thousand_rows(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    found = Evidence(case.model, case.signature, case.reference)
    assert found.own.rows + found.made.rows == FEWEST_ROWS
    assert (found.made.answers.predictions == case.model.predict(found.made.answers.inputs)).all()


def test_made_rows_stay_within_what_the_sample_shows(flights):
    made = mixed(flights, 500)
    assert list(made.dtypes) == list(flights.dtypes)
    assert made.equals(mixed(flights, 500)), "always the same ones"
    for name in ("distance", "wind", "visibility"):
        assert made[name].min() >= flights[name].min()
        assert made[name].max() <= flights[name].max()
    assert not made.wind.isin(flights.wind).all(), "some numbers lie between two"
    for name in ("hour", "carrier", "weekend"):
        assert set(made[name]) <= set(flights[name])
    assert made["tail"].isna().any()
    assert made.visibility.isna().any()


def test_rows_of_images_are_not_made_by_the_thousand(monkeypatch):
    monkeypatch.setattr("nbmlops.conversion.mixing.CELLS", 100)
    assert mixed(pd.DataFrame(np.zeros((3, 50))), 1000).shape == (2, 50)


@pytest.fixture
def refusing(flights, late):
    """A model that refuses what its encoder never saw, in one of its columns."""
    encoder = ColumnTransformer([("carrier", OrdinalEncoder(), ["carrier"])], remainder="passthrough")
    return make_case(make_pipeline(encoder, DecisionTreeClassifier(max_depth=3)), flights[["carrier", "wind"]], late)


def test_rows_that_the_fitted_object_refuses_are_told_from_the_others(refusing):
    found = Evidence(refusing.model, refusing.signature, refusing.reference)
    groups = {group.kind: group for group in found.adversarial}
    assert len(groups["categories never seen"].refused) == groups["categories never seen"].rows
    assert len(groups["huge numbers"].refused) == 0
    at_steps = groups["numbers at the steps of its answers"]
    assert len(at_steps.answers.predictions) == len(at_steps.answers.inputs) > 0


def test_a_model_that_refuses_very_much_is_asked_a_bounded_number_of_times(refusing, monkeypatch):
    monkeypatch.setattr(gathering, "CALLS", 1)
    found = Evidence(refusing.model, refusing.signature, refusing.reference)
    group = next(group for group in found.adversarial if group.kind == "categories never seen")
    assert group.rows == 0


def test_the_digest_names_every_row(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    found = Evidence(case.model, case.signature, case.reference)
    assert found.digest(2) == Evidence(case.model, case.signature, case.reference).digest(2)
    assert len({found.digest(count) for count in range(5)}) == 5
