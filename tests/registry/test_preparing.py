"""What is judged before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.registry.preparing import answered, prepare
from tests.registry.conftest import Fitted


@pytest.mark.parametrize("name", ["a/b", "", "a@b", "-", "x" * 300, "a:b"])
def test_a_name_that_cannot_be_taken(fitted: Fitted, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no model name"):
        prepare(fitted.model, fitted.registration(name))


@pytest.mark.parametrize("key", ["", "nbmlops.digest", "mlflow.user"])
def test_a_tag_that_cannot_be_taken(fitted: Fitted, key: str) -> None:
    with pytest.raises(InvalidInput, match="is no name for a tag"):
        prepare(fitted.model, fitted.registration("flights", tags={key: "x"}))


def test_an_asset_that_is_missing(fitted: Fitted, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no asset"):
        prepare(fitted.model, fitted.registration("flights", assets=(tmp_path / "words.txt",)))


def test_assets_with_one_name(fitted: Fitted, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "words.txt" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    with pytest.raises(InvalidInput, match=r"more than one asset is named words\.txt"):
        prepare(fitted.model, fitted.registration("flights", assets=tuple(paths)))


def test_data_of_the_wrong_type_is_told(fitted: Fitted) -> None:
    data = fitted.data.assign(wind="strong")
    with pytest.raises(InvalidInput, match=r"LogisticRegression can't answer the data.*same columns and dtypes"):
        answered(fitted.model, data, "late")


@pytest.mark.parametrize("answer", [lambda rows: 1.0, lambda rows: np.zeros(3)])
def test_one_answer_for_each_row(fitted: Fitted, answer: Any) -> None:
    with pytest.raises(InvalidInput, match="answers for 80 rows"):
        answered(answer, fitted.data)


def test_rows_get_the_objects_answers(fitted: Fitted) -> None:
    reference = answered(fitted.model, fitted.data, "late")
    inputs = fitted.data[["hour", "wind", "rain"]]
    np.testing.assert_array_equal(reference.predictions, fitted.model.predict(inputs))
