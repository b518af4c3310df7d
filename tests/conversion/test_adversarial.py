from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from nbmlops.conversion.adversarial import MOST, Column, edited, probes
from nbmlops.conversion.adversarial_changes import at_changes, is_exact
from nbmlops.conversion.adversarial_splits import neighbours, trees_of
from nbmlops.registry.nulls import BY_MODEL
from nbmlops.registry.signature import columns_of as described
from tests.conversion.conftest import make_case

SPLITS, STEPS = "numbers at the splits of its trees", "numbers at the steps of its answers"


def made_of(frame, signature=None):
    return {probe.what: probe for probe in probes(frame, signature or {"inputs": described(frame)})}


def test_every_kind_of_row_is_made_and_every_dtype_stays(flights):
    made = made_of(flights)
    assert set(made) == {
        "nulls",
        "categories never seen",
        "empty texts",
        "texts written otherwise",
        "the ends of the range",
        "numbers far outside the range",
        "huge numbers",
        "whole numbers that float32 can't hold",
    }
    for probe in made.values():
        assert list(probe.rows.dtypes) == list(flights.dtypes)
    assert set(made["nulls"].rows.columns[made["nulls"].rows.isna().any()]) >= {"visibility", "tail"}
    assert 2**24 + 1 in set(made["whole numbers that float32 can't hold"].rows.hour)
    assert made["huge numbers"].rows.distance.abs().max() == 1e30
    assert "" in set(made["empty texts"].rows.carrier)


def test_a_null_that_only_the_fitted_object_answers_is_spared():
    frame = pd.DataFrame({"wind": [1.0, 2.0]})
    signature = {"inputs": [{"name": "wind", "type": "double", "nullable": True, "nulls": BY_MODEL}]}
    assert made_of(frame, signature)["nulls that the data had not"].spared == ("wind",)


@pytest.mark.parametrize(("name", "categories"), [("carrier", ["A", "B"]), ("hour", [1, 2])])
def test_a_column_that_takes_known_values_alone_keeps_them(flights, name, categories):
    signature = {"inputs": [{**one, "categories": categories} for one in described(flights[[name]])]}
    assert made_of(flights[[name]], signature) == {}


def test_small_whole_numbers_stay_within_their_type():
    frame = pd.DataFrame({"hour": np.array([1, 2], dtype=np.int8)})
    assert set(made_of(frame)) == {"the ends of the range"}


def test_many_columns_make_no_more_rows_and_each_kind_reaches_the_last():
    frame = pd.DataFrame(np.zeros((3, 400)), columns=[str(place) for place in range(400)])
    made = made_of(frame)["huge numbers"].rows
    assert len(made) <= MOST
    assert (made["399"] != 0).any() or (made["398"] != 0).any()


def test_a_tensor_of_numbers_is_changed_too():
    frame = pd.DataFrame(np.zeros((3, 2)), columns=["0", "1"])
    made = made_of(frame, {"inputs": {"tensor": {"dtype": "float64", "shape": [-1, 2]}}})
    assert "huge numbers" in made


@given(st.floats(-1e15, 1e15))
def test_neighbours_are_the_next_numbers_to_both_sides(threshold):
    doubles = neighbours(Column("x", "float64"), threshold)
    assert doubles[:3] == [threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)]
    singles = neighbours(Column("x", "float32"), threshold)
    assert all(float(np.float32(one)) == one for one in singles)
    assert min(singles) <= threshold <= max(singles)
    whole = neighbours(Column("x", "integer", most=2**62), threshold)
    assert whole[0] <= threshold < whole[1]
    assert neighbours(Column("x", "text"), threshold) == []


def test_edits_change_one_cell_of_one_row(flights):
    made = edited(flights, [(5, "hour", 99), (5, "wind", 1.5)])
    assert made.hour.tolist() == [99, flights.hour[5]]
    assert made.wind.tolist() == [flights.wind[5], 1.5]
    assert made.carrier.tolist() == [flights.carrier[5]] * 2


def changes(model, rows, target):
    case = make_case(model, rows, target)
    found = at_changes(case.model, case.reference.inputs, case.signature)
    return case.model, {probe.what: probe for probe in found}


def test_every_split_of_a_tree_is_stood_at(flights, late):
    rows = flights[["distance", "wind"]]
    model, made = changes(DecisionTreeClassifier(max_depth=4), rows, late)
    numbers = set(made[SPLITS].rows.to_numpy().ravel())
    tree = model.tree_
    for threshold in tree.threshold[tree.feature >= 0]:
        assert {threshold, np.nextafter(threshold, np.inf), float(np.float32(threshold))} <= numbers


def test_a_row_at_a_split_is_parted_by_it(flights, late):
    """Each row was chosen because it meets the split: a step to the next number of float32 changes where it goes."""
    rows = flights[["distance", "wind"]]
    model, made = changes(DecisionTreeClassifier(max_depth=5), rows, late)
    leaves = model.apply(made[SPLITS].rows).reshape(-1, 6)
    assert all(len(set(group)) > 1 for group in leaves)


@pytest.mark.parametrize(
    "before",
    [StandardScaler(), MinMaxScaler(), make_pipeline(MinMaxScaler(), StandardScaler()), FunctionTransformer(np.cbrt)],
)
def test_the_steps_behind_any_preprocessing_are_found_to_the_last_bit(flights, late, before):
    rows = flights[["distance", "wind"]]
    model, made = changes(make_pipeline(before, DecisionTreeClassifier(max_depth=4)), rows, late)
    assert SPLITS not in made
    probe = made[STEPS]
    chances, numbers = model.predict_proba(probe.rows)[:, 1], probe.rows.to_numpy()
    pairs = [(place, other) for place, other in enumerate(probe.across) if 0 <= place < other]
    assert len(pairs) > 10
    for place, other in pairs:
        assert chances[place] != chances[other]
        assert np.abs(numbers[place] - numbers[other]).max() <= np.spacing(np.abs(numbers[place]).max())


def test_no_step_is_made_up_where_the_answer_is_smooth(flights, late):
    _, made = changes(LogisticRegression(), flights[["distance", "wind"]], late)
    rows = made[STEPS].rows if STEPS in made else flights.iloc[:0]
    assert len(rows) < 100
    _, made = changes(make_pipeline(StandardScaler(), SVC()), flights[["distance", "wind"]], late)
    assert made == {}


def test_only_arithmetic_before_a_step_makes_either_side_right(flights, late):
    rows = flights[["distance", "wind"]]
    tree = DecisionTreeClassifier(max_depth=3)
    for model, exact in ((tree, True), (make_pipeline(StandardScaler(), tree), False)):
        fitted, made = changes(model, rows, late)
        assert is_exact(fitted) is exact
        assert (made[STEPS].across >= 0).any() != exact


def test_trees_are_found_inside_ensembles_of_several_libraries(flights, late):
    import lightgbm
    import xgboost

    rows = flights[["distance", "wind"]]
    for model, count in (
        (RandomForestClassifier(3), 3),
        (HistGradientBoostingClassifier(max_iter=4), 4),
        (xgboost.XGBClassifier(n_estimators=5), 5),
        (lightgbm.LGBMClassifier(n_estimators=6, verbose=-1), 6),
    ):
        trees = list(trees_of(model.fit(rows, late), 2))
        assert len(trees) == count
        assert all((tree.left[tree.feature >= 0] > 0).all() for tree in trees)
        assert any((tree.feature >= 0).any() for tree in trees)
    coded = rows.assign(wind=rows.wind.rank().astype(int) % 5)
    ordered_otherwise = HistGradientBoostingClassifier(categorical_features=[1], max_iter=2).fit(coded, late)
    assert list(trees_of(ordered_otherwise, 2)) == []
