"""What a reader sees: sums, the explainer's name, pictures, slices, and what is noise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from nbmlops.core.errors import InvalidInput
from nbmlops.explanation import Asked, Explanation, Subject, explain
from nbmlops.explanation.interactions import numbers, strongest
from nbmlops.explanation.page import page, write
from nbmlops.explanation.stability import importances, unsettled
from tests.explanation.conftest import prepared


@pytest.fixture(scope="module")
def report(flights: pd.DataFrame, grade: np.ndarray) -> Explanation:
    """Three classes, row 7 asked for."""
    model = prepared(LogisticRegression(max_iter=500)).fit(flights, grade)
    subject = Subject(model, flights.iloc[:80], flights, classes=(0, 1, 2))
    return explain(subject, Asked("flights/1", np.arange(80), 500, row=7), seconds=30)


@pytest.fixture(scope="module")
def plain(flights: pd.DataFrame, late: np.ndarray) -> Explanation:
    rows = flights.drop(columns="carrier")
    model = HistGradientBoostingClassifier(max_iter=10).fit(rows, late)
    return explain(Subject(model, rows.iloc[:200], rows, classes=(0, 1)), Asked("f/2", np.arange(200), 200), seconds=30)


def test_base_and_contributions_are_the_output(report: Explanation, plain: Explanation) -> None:
    assert report.values.shape == (80, 8, 3)
    np.testing.assert_allclose(report.base_values + report.values.sum(axis=1), report.predicted, atol=1e-9)
    assert plain.values.shape == (200, 7)
    np.testing.assert_allclose(plain.base_values + plain.values.sum(axis=1), plain.predicted, atol=1e-9)
    row = report.contributions(7, output="2")
    assert sum(row.values()) + report.base_values[2] == pytest.approx(report.predicted[7, 2])
    assert list(row) == sorted(row, key=lambda name: -abs(row[name]))


def test_the_card_names_explainer_rows_background_and_residual(report: Explanation, plain: Explanation) -> None:
    text = report._show_().text
    assert "linear (each coefficient times the distance from the background's mean)" in text
    assert "80 of 500, 500 background rows" in text
    assert re.search(r"residual +✓ \d\.\de-1\d from the model's own output", text)
    place = report.predicted[7].argmax()
    assert f"= {report.predicted[7, place]:.6g}, log-odds of {place}" in text
    assert "95 % of the draws" in plain._show_().text


def test_the_page_is_one_file_with_its_pictures_in_it(report: Explanation, tmp_path: Path) -> None:
    files = write(report, tmp_path)
    assert set(files) == {
        *(f"{name}.png" for name in ("importance", "beeswarm", "dependence", "waterfall")),
        "contributions.npz",
        "explanation.html",
        "explanation.json",
    }
    text = (tmp_path / "explanation.html").read_text()
    assert len(text) < 1_000_000
    assert text.count("data:image/png;base64,") == 4
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|url\(|<script|<link|@import""", text)
    assert "Slices" in text
    assert np.load(tmp_path / "contributions.npz")["values"].shape == (80, 8, 3)


def test_text_from_outside_is_escaped(flights: pd.DataFrame) -> None:
    rows = flights[["wind", "hour"]].set_axis(["<img src=x>", "$hour$"], axis=1)
    subject = Subject(lambda frame: frame.iloc[:, 0].to_numpy() * 2, rows.iloc[:20], rows)
    shown = page(explain(subject, Asked("<b>m</b>", np.arange(20), 20), seconds=10))
    assert "<img src=x" not in shown
    assert "<b>m" not in shown


def test_viewers_without_html_get_a_picture(plain: Explanation) -> None:
    bundle = plain._repr_mimebundle_()
    assert bundle["image/png"].startswith(b"\x89PNG")
    assert bundle["text/html"].count("<img") == 4
    assert plain._show_().text == bundle["text/plain"]


def test_any_row_and_column_has_its_picture(report: Explanation) -> None:
    for figure in (report.waterfall(3, output="1"), report.dependence("sky", "wind"), report.beeswarm("0")):
        assert isinstance(figure, Figure)
    ticks = [label.get_text() for label in report.waterfall(3).axes[0].get_yticklabels()]
    assert any(tick.startswith("carrier = ") for tick in ticks)


def test_what_was_not_explained_is_asked_for_by_name(report: Explanation) -> None:
    with pytest.raises(InvalidInput, match="row 99 is not among the 80 explained"):
        report.waterfall(99)
    with pytest.raises(InvalidInput, match="nothing explains '9'"):
        report.beeswarm("9")
    with pytest.raises(InvalidInput, match="no column 'nothing'"):
        report.dependence("nothing")


def test_slices_tell_what_matters_where(plain: Explanation) -> None:
    by = {one.column for one in plain.slices}
    assert by == {plain.columns[place] for place in plain.order[:3]}
    wind = [one for one in plain.slices if one.column == "wind"]
    assert sum(one.rows for one in wind) == 200
    assert wind[-1].output > wind[0].output  # more wind, later
    assert all(len(one.importance) == 3 for one in plain.slices)


def test_intervals_hold_the_value_and_noise_has_no_settled_order() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(400, 4, 1)) * np.array([5.0, 1.0, 1.0, 0.01])[:, None]
    found = importances(list("abcd"), values)
    assert (found[0].column, found[-1].column) == ("a", "d")
    assert all(one.low <= one.value <= one.high for one in found)
    assert found[0].settled
    assert not found[1].settled
    assert [set(pair) for pair in unsettled(found)] == [{"b", "c"}]


def test_backgrounds_move_importances_too() -> None:
    terms = np.random.default_rng(0).normal(size=(50, 2, 1))
    known = np.random.default_rng(1).normal(size=(4, 2, 1)) * [[8.0], [0.1]]
    values = terms - known.mean(axis=0)
    rows_only = importances(["a", "b"], values)
    both = importances(["a", "b"], values, rebased=lambda places: terms - known[places].mean(axis=0), background=4)
    width = [{one.column: one.high - one.low for one in found} for found in (rows_only, both)]
    assert width[1]["a"] > 2 * width[0]["a"]


def test_an_interaction_is_found_and_none_is_not() -> None:
    matrix = np.random.default_rng(0).normal(size=(500, 3))
    assert strongest(0, matrix[:, 0] * matrix[:, 2], matrix) == 2
    assert strongest(0, matrix[:, 0] * 3, matrix) == -1


def test_columns_become_numbers_with_their_gaps(flights: pd.DataFrame) -> None:
    codes, labels = numbers(flights.sky.where(flights.index > 0))
    assert np.isnan(codes[0])
    assert labels[int(codes[1])] == flights.sky[1]
    assert numbers(pd.Series(["b", None, "a"]))[0].tolist()[::2] == [1.0, 0.0]
    when = pd.Series(pd.to_datetime(["1970-01-02", None]))
    assert numbers(when)[0][0] == 86400
    assert numbers(pd.Series([1, None], dtype="Int64"))[0][0] == 1
