from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from nbmlops.capture import capture
from nbmlops.core.errors import InvalidInput


def test_everything_is_plain_data(tmp_path: Path) -> None:
    data = pd.DataFrame({"a": [1.0, None, float("inf")], "when": pd.to_datetime(["2013-01-01"] * 3)})
    found = capture(LogisticRegression(), data, root=tmp_path)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(plain) == {"environment", "machine", "git", "notebook", "data", "sources"}
    assert plain["data"]["rows"] == 3
    assert plain["git"]["available"] is False


def test_without_data_there_is_no_fingerprint(tmp_path: Path) -> None:
    assert capture(LogisticRegression(), root=tmp_path).data is None


def test_data_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"the data has no rows.*Check the filter"):
        capture(LogisticRegression(), pd.DataFrame({"a": []}), root=tmp_path)


def test_the_package_of_the_data_is_needed_by_the_model(tmp_path: Path) -> None:
    def plain(rows):
        return rows

    found = capture(plain, pd.DataFrame({"a": [1]}), root=tmp_path).environment.package("pandas")
    assert found is not None
    assert found.scope == "model"
