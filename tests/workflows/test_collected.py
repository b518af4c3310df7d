from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from nbmlops.core.errors import InvalidInput, NotFound
from nbmlops.workflows.collected import collected
from nbmlops.workflows.commands import Files, command
from nbmlops.workflows.verbs import PYTHON
from tests.monitoring.conftest import START, World

BEGUN = datetime.fromtimestamp(START / 1e9, UTC)


@pytest.fixture
def world(workspace) -> World:
    made = World(workspace)
    made.spool([made.flight(number, version=str(number % 2)) for number in range(4)]).close()
    return made


def run(line: str) -> pd.DataFrame:
    app = command(PYTHON["collected"], Files())
    return app.main(line.split(), standalone_mode=False)


def test_rows_are_chosen_by_time_and_version(world):
    assert collected("flights")["distance"].tolist() == [0.0, 1.0, 2.0, 3.0]
    until = BEGUN + timedelta(seconds=3)
    assert collected("flights", since=BEGUN + timedelta(seconds=1), until=until)["distance"].tolist() == [1.0, 2.0]
    assert collected("flights", version="1")["distance"].tolist() == [1.0, 3.0]
    with pytest.raises(NotFound, match="no endpoint is named 'fly'"):
        collected("fly")


def test_the_line_says_the_same(world):
    since = (BEGUN + timedelta(seconds=2)).isoformat()
    assert run(f"flights --since {since} --version 0")["distance"].tolist() == [2.0]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_can_be_written_to_a_file(world, tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    frame = run(f"flights --out {path}")
    read = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert read["distance"].tolist() == frame["distance"].tolist()
    with pytest.raises(InvalidInput, match=r"a \.csv or \.parquet file"):
        collected("flights", out="rows.txt")
