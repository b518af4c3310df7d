"""The ladder, and converters that are wrong in one place only: each place is found by the comparison alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from nbmlops.conversion import Speed, Terms, convert, ladder
from nbmlops.conversion.evidence import Evidence
from nbmlops.conversion.known import KNOWN, Known, refusal
from nbmlops.conversion.rungs import FLOAT32, FLOAT64, FLOAT64_PREPROCESSING
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.core.progress import stages
from tests.conversion.conftest import make_case

QUICK = Speed(rows=(1, 32), fitted_ms=(2.0, 2.0), onnx_ms=(1.0, 1.0))
SLOW = Speed(rows=(1, 32), fitted_ms=(1.0, 2.0), onnx_ms=(2.0, 1.0))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """How fast a machine is decides nothing here."""
    monkeypatch.setattr(ladder, "speed", lambda *_, **__: QUICK)


class Shipped(SklearnConverter):
    """skl2onnx on some rungs alone; counts what it is asked for."""

    def __init__(self, *rungs, name="skl2onnx", change=lambda model: model, error=None):
        self.rungs, self.name, self.change, self.error = rungs or (FLOAT32,), name, change, error
        self.asked = []

    def convert(self, model, signature, *, rung=FLOAT32):
        self.asked.append(rung)
        if self.error:
            raise self.error
        made = SklearnConverter().convert(self.change(copy.deepcopy(model)), signature, rung=rung)
        return replace(made, converter=self.name)


def asked(case, *candidates, **options):
    return convert(case.model, case.signature, case.reference, candidates=candidates, **options)


# Rungs


def test_a_scaled_tree_needs_its_numbers_in_float64(flights, late):
    case = make_case(
        make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)), flights[["distance", "wind"]], late
    )
    report = asked(case, Shipped(FLOAT32, FLOAT64_PREPROCESSING, FLOAT64))
    assert (report.chosen, report.rung) == ("skl2onnx", FLOAT64_PREPROCESSING)
    assert [(step.rung, step.state) for step in report.trail] == [
        (FLOAT32, "unfaithful"),
        (FLOAT64_PREPROCESSING, "chosen"),
    ]
    assert asked(case, Shipped(FLOAT32)).chosen is None


def test_squares_beyond_float32_need_all_in_float64(flights, late):
    case = make_case(GaussianNB(), flights[["wind", "hour"]], late)
    report = asked(case, Shipped(FLOAT32, FLOAT64_PREPROCESSING, FLOAT64))
    assert report.rung == FLOAT64, report.trail
    assert [step.state for step in report.trail] == ["unfaithful", "failed", "chosen"]


def test_the_rungs_of_one_converter_come_before_the_next_one(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    first = Shipped(FLOAT32, FLOAT64, error=RuntimeError("no"), name="first")
    second = Shipped(FLOAT64, name="second")
    report = asked(case, first, second)
    assert (report.chosen, report.rung) == ("second", FLOAT64)
    assert (first.asked, second.asked) == ([FLOAT32, FLOAT64], [FLOAT64])


def test_a_faithful_model_that_is_slower_is_left_for_the_next_converter(flights, late, monkeypatch):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    monkeypatch.setattr(ladder, "speed", lambda *_, **__: SLOW)
    first, second = Shipped(FLOAT32, FLOAT64), Shipped(name="second", change=lambda model: model)
    report = asked(case, first, second)
    assert report.chosen is None
    assert first.asked == [FLOAT32], "another rung of a slower model is no quicker"
    assert "agrees, but is slower: 0.5 × at 1 row, 2 × at 32 rows" in report.reason


def test_the_typical_request_decides_what_is_slower(flights, late, monkeypatch):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    sizes = []
    monkeypatch.setattr(ladder, "speed", lambda *_, sizes, **__: sizes_seen(sizes))

    def sizes_seen(asked_for):
        sizes.append(asked_for)
        return SLOW

    report = asked(case, Shipped(), terms=Terms(rows=7))
    assert report.chosen
    assert report.reason.endswith("32 rows are answered 2 times as fast")
    assert 7 in sizes[0]
    assert asked(case, Shipped(), terms=Terms(rows=1)).chosen is None


@pytest.mark.parametrize(
    ("ratios", "ending"),
    [
        (
            (9.0, 3.0, 0.8, 0.4),
            "answered 9 times as fast; from 1,000 rows in a call on it is slower (0.8 times as fast)",
        ),
        ((9.0, 0.8, 3.0, 1.0), "answered 9 times as fast"),
    ],
)
def test_the_reason_says_from_which_size_of_a_call_on_it_is_slower(flights, late, monkeypatch, ratios, ending):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    found = Speed((1, 32, 1000, 10_000), ratios, (1.0,) * 4)
    monkeypatch.setattr(ladder, "speed", lambda *_, **__: found)
    assert asked(case, Shipped()).reason.endswith(ending)


def test_a_model_that_was_tried_is_not_compared_again(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    wrong = Shipped(FLOAT32, change=lambda model: _shifted(model, 1.0))
    report = asked(case, wrong, Shipped(FLOAT32, change=lambda model: _shifted(model, 1.0), name="again"))
    assert report.trail[1].outcome == "made the same model as on a rung before"
    assert report.trail[1].findings == ()


def _shifted(model, by):
    model.intercept_ = model.intercept_ + by
    return model


def test_no_rung_is_begun_once_the_time_is_over(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    first, second = Shipped(error=RuntimeError("no")), Shipped(name="second")
    report = asked(case, first, second, terms=Terms(seconds=-1.0))
    assert (first.asked, second.asked) == ([FLOAT32], [])
    assert report.trail[-1].outcome == "was not tried: -1 seconds were over"
    assert "can't convert this model: no" in report.reason


def test_each_rung_is_announced(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    said = []
    with stages(said.append):
        asked(case, Shipped(FLOAT64))
    assert "trying skl2onnx in float64" in said


def test_a_converter_may_refuse_by_itself_and_an_empty_list_turns_that_off(flights, late):
    case = make_case(LogisticRegression(), flights[["wind", "hour"]], late)
    converter = Shipped()
    converter.refusal = lambda model: "it is off on Tuesdays"
    assert "known to be wrong for this model: it is off on Tuesdays" in asked(case, converter).reason
    assert converter.asked == []
    assert asked(case, converter, terms=Terms(known=())).chosen


def test_what_is_known_may_hold_for_a_rung_alone():
    known = (Known("skl2onnx", "it is wrong", lambda model: True, (FLOAT32,)),)
    assert refusal(Shipped(), None, FLOAT32, known=known) == "it is wrong"
    assert refusal(Shipped(), None, FLOAT64, known=known) == ""
    assert refusal(Shipped(name="other"), None, FLOAT32, known=known) == ""
    assert len({(one.converter, one.reason) for one in KNOWN}) == len(KNOWN)


# Converters that are wrong in one place


def one_step(model):
    """Move one split of a tree to the next number of float32."""
    tree = next(part for part in (model, *getattr(model, "estimators_", ())) if hasattr(part, "tree_")).tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    node = int(np.flatnonzero(tree.feature >= 0)[-1])
    state["nodes"]["threshold"][node] = np.nextafter(np.float32(tree.threshold[node]), np.float32(np.inf))
    tree.__setstate__(state)
    return model


def test_one_split_in_a_tree_that_is_off_by_the_last_bit(flights, late):
    case = make_case(DecisionTreeClassifier(max_depth=5, random_state=0), flights[["distance", "wind"]], late)
    report = asked(case, Shipped(change=one_step))
    assert report.chosen is None
    assert report.fidelity.agrees, "no saved row tells"
    assert "numbers at the splits of its trees get another answer" in report.reason
    assert report.flips.kind.unique().tolist() == ["numbers at the splits of its trees"]
    assert {"distance", "wind"} < set(report.flips.columns)


def test_wrong_for_nulls_alone(flights, late):
    case = make_case(
        make_pipeline(SimpleImputer(strategy="median"), LogisticRegression()), flights[["visibility", "wind"]], late
    )
    whole = case.reference.inputs.visibility.notna().to_numpy()
    kept = case.reference
    reference = replace(
        kept,
        inputs=kept.inputs[whole],
        predictions=kept.predictions[whole],
        probabilities=kept.probabilities[whole],
    )

    def other_median(model):
        model[0].statistics_ = model[0].statistics_ + 3
        return model

    report = convert(case.model, case.signature, reference, candidates=(Shipped(change=other_median),))
    assert report.chosen is None
    assert "answer to nulls" in report.reason or "nulls get another" in report.reason
    assert report.fidelity.agrees


def encoded(estimator):
    return make_pipeline(
        ColumnTransformer([("carrier", OneHotEncoder(handle_unknown="ignore"), ["carrier"])]), estimator
    )


def test_wrong_for_one_category_that_the_sample_has_in_one_row(late):
    rare = pd.DataFrame({"carrier": ["A", "B"] * 300 + ["rare"]})
    case = make_case(encoded(LogisticRegression()), rare, np.append(late, True))

    def drops(model):
        model[-1].coef_[0, -1] = 0.0
        return model

    report = asked(case, Shipped(change=drops))
    assert report.chosen is None
    assert report.fidelity.max_difference > 1e-3


def test_wrong_for_a_category_never_seen_alone(flights, late):
    case = make_case(encoded(LogisticRegression()), flights[["carrier"]], late)

    def takes_the_first(model):
        encoder = model[0].named_transformers_["carrier"]
        encoder.categories_ = [np.append(encoder.categories_[0][:-1], "a category never seen")]
        return model

    whole = (flights.carrier != "E").to_numpy()
    kept = case.reference
    reference = replace(
        kept, inputs=kept.inputs[whole], predictions=kept.predictions[whole], probabilities=kept.probabilities[whole]
    )
    report = convert(case.model, case.signature, reference, candidates=(Shipped(change=takes_the_first),))
    assert report.chosen is None
    assert "categories never seen" in report.reason


def test_wrong_beyond_the_whole_numbers_of_float32_alone():
    """A time in epoch seconds, parted at a second: float32 knows every 128th."""
    start = 1_700_000_000
    rows = pd.DataFrame({"at": start + 256 * np.arange(1200) // 2, "wind": np.arange(1200.0) % 7})
    case = make_case(DecisionTreeClassifier(), rows, rows["at"].to_numpy() > start + 256 * 200)
    assert asked(case, Shipped(FLOAT32)).chosen, "a tree rounds its numbers by itself"
    scaled = make_case(LinearRegression(), rows, rows["at"].to_numpy() - float(start))
    report = asked(scaled, Shipped(FLOAT32, FLOAT64))
    assert report.rung == FLOAT64
    assert report.trail[0].state == "unfaithful"


def test_wrong_between_the_rows_of_a_short_sample(flights):
    """No saved row is near the threshold; rows mixed from them are."""
    rows = flights[["distance", "wind"]][flights.distance.abs() > 500].reset_index(drop=True)
    case = make_case(DecisionTreeClassifier(max_depth=1), rows, rows.distance > 0)

    def moved(model):
        state = model.tree_.__getstate__()
        state["nodes"] = state["nodes"].copy()
        state["nodes"]["threshold"][0] += 300
        model.tree_.__setstate__(state)
        return model

    report = asked(case, Shipped(change=moved))
    assert report.chosen is None
    assert "rows mixed from them get another answer" in report.reason
    assert report.fidelity.agrees


def test_a_label_next_to_the_border_of_a_decision_is_a_tie(flights, late):
    case = make_case(make_pipeline(StandardScaler(), LinearSVC()), flights[["distance", "wind"]], late)
    report = asked(case, Shipped())
    assert report.chosen, report.reason
    assert report.certificate["fidelity"]["ties"] > 0


def test_several_labels_a_row_are_tied_one_by_one(flights, late):
    labels = np.stack([late, flights.hour > 12], axis=1).astype(int)
    case = make_case(MultiOutputClassifier(LogisticRegression()), flights[["distance", "wind"]], labels)
    tied = Evidence(case.model, case.signature, case.reference).own.answers.tied
    mask = np.zeros(len(labels), dtype=bool)
    mask[:3] = True
    said = case.reference.predictions[:3]
    assert tied(mask, said).tolist() == [True] * 3
    assert tied(mask, 1 - said).tolist() == [False] * 3
