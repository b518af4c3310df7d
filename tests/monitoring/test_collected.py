from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from nbmlops.core.errors import InvalidInput
from nbmlops.monitoring.compact import compact
from nbmlops.serving.configuration import CaptureConfig
from nbmlops.serving.inputs import Rows
from nbmlops.serving.spool import Spool
from tests.serving.bundles import COLUMNS, SIGNATURE

from .conftest import START

HOUR = 3600 * 10**9
BEGUN = datetime.fromtimestamp(START / 1e9, UTC)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_column_type=False)


def both_ways(world) -> pd.DataFrame:
    """Return what was collected, having seen that compaction changes nothing of it."""
    before = world.collected(shadows=True)
    done = compact(world.folder, world.bundles)
    assert done.spools == 1
    same(world.collected(shadows=True), before)
    return before


def test_each_row_has_its_facts_inputs_and_answer_also_while_the_file_is_written(world):
    open_file = world.spool([world.flight(1), world.flight(2, rows=3, latency_s=0.25, key="ab", arm="blue")])
    frame = world.collected()
    assert list(frame) == [
        "prediction_id", "time", "version", "arm", "latency_ms", "status", "key", "shadow",
        "distance", "hour", "carrier", "prediction",
    ]  # fmt: skip
    first = "0190a1b2-0000-7000-8000-000000000001"
    assert list(frame["prediction_id"]) == [f"{first}:0", *(f"{first[:-1]}2:{row}" for row in range(3))]
    assert list(frame["distance"]) == [1.0, 2.0, 2.1, 2.2]
    assert list(frame["carrier"]) == ["AA"] * 4
    assert list(frame["prediction"]) == [1, 0, 0, 0]
    assert list(frame["latency_ms"]) == [2.0, 250.0, 250.0, 250.0]
    assert list(frame["arm"]) == ["1", "blue", "blue", "blue"]
    assert frame["time"][0] == BEGUN + timedelta(seconds=1)
    assert frame["hour"].dtype == "int64"
    assert frame.attrs["undecoded"] == 0
    open_file.close()
    same(both_ways(world), frame)


def test_every_form_of_request_and_answer_is_read_alike(world):
    both = {"predictions": [{"label": 1, "probabilities": [0.2, 0.8]}], "classes": [0, 1]}
    alone = {"predictions": [[0.6, 0.4], [0.5, 0.5]], "classes": [0, 1]}
    record = {"distance": 2.0, "hour": 1, "carrier": "UA"}
    columns = {name: [value, value] for name, value in record.items()}
    csv = b"hour,carrier,distance\n1,UA,3\n"
    world.spool(
        [
            world.record(1, {"dataframe_records": [record]}, both),
            world.record(2, {"inputs": columns}, alone),
            world.record(3, csv, {"predictions": [0]}, kind="text/csv; charset=utf-8"),
        ]
    ).close()
    frame = both_ways(world)
    assert list(frame["distance"]) == [2.0, 2.0, 2.0, 3.0]
    assert frame["prediction"].isna().tolist() == [False, True, True, False]
    assert list(frame["probability_0"].dropna()) == [0.2, 0.6, 0.5]
    assert list(frame["probability_1"].dropna()) == [0.8, 0.4, 0.5]


def test_dates_bytes_nulls_and_absent_columns_keep_their_kind(world):
    columns = [
        {"name": "at", "type": "datetime", "nullable": True},
        {"name": "raw", "type": "binary", "nullable": True},
        {"name": "count", "type": "long", "nullable": True},
        {"name": "note", "type": "string", "required": False, "nullable": True},
    ]
    signature = {"inputs": columns, "task": "regression"}
    full = {"at": "2026-01-02T03:04:05+01:00", "raw": "AAE=", "count": 3, "note": "x"}
    nulls = {"at": None, "raw": None, "count": None}
    world.spool(
        [
            world.record(1, {"dataframe_records": [full]}, {"predictions": [1.5]}, signature),
            world.record(2, {"dataframe_records": [nulls]}, {"predictions": [None]}, signature),
        ]
    ).close()
    frame = both_ways(world)
    assert frame["at"][0] == pd.Timestamp("2026-01-02T02:04:05")
    assert frame["raw"][0] == b"\x00\x01"
    assert frame["count"][0] == 3
    assert frame["note"][0] == "x"
    assert frame.loc[1, ["at", "raw", "count", "note", "prediction"]].isna().all()


def test_tensors_and_models_without_a_signature_are_read_too(world):
    def one(**tensor) -> dict:
        return {"inputs": {"tensor": {"dtype": "float64", **tensor}}, "task": "regression"}

    named = [{"name": "a", "dtype": "float64", "shape": [-1]}, {"name": "b", "dtype": "int64", "shape": [-1, 2]}]
    pairs = {"inputs": {"a": [1, 2], "b": [[1, 2], [3, 4]]}}
    cubes, texts = {"inputs": [[[1], [2]]]}, {"inputs": {"text": "hello"}}
    world.spool(
        [
            world.record(1, {"inputs": [[1, 2], [3, 4]]}, {"predictions": [5, 6]}, one(shape=[-1, 2])),
            world.record(2, cubes, {"predictions": [[5.0, 6.0]]}, one(shape=[-1, 2, 1]), version="2"),
            world.record(
                3, pairs, {"predictions": {"x": [1, 2], "y": [3, 4]}}, {"inputs": {"tensors": named}}, version="3"
            ),
            world.record(4, texts, {"predictions": {"words": ["a"]}}, {"inputs": None}, version="4"),
        ]
    ).close()
    frame = both_ways(world)
    assert frame["0"].dropna().tolist() == [1.0, 3.0]
    assert frame["1"].dropna().tolist() == [2.0, 4.0]
    assert frame["input"].dropna().tolist() == [[[1.0], [2.0]], '{"text":"hello"}']
    assert frame["b"].dropna().tolist() == [[1, 2], [3, 4]]
    assert frame["output_x"].dropna().tolist() == [1, 2]
    assert frame["prediction"][2] == [5.0, 6.0]


def test_an_input_named_as_a_fact_keeps_its_values_under_another_name(world):
    names = ["time", "prediction", "input_time", "collected_hour"]
    signature = {"inputs": [{"name": name, "type": "long"} for name in names], "task": "other"}
    body = {"dataframe_split": {"columns": names, "data": [[1, 2, 3, 4]]}}
    world.spool([world.record(1, body, {"predictions": [9]}, signature)]).close()
    frame = both_ways(world)
    assert frame["input_input_time"].tolist() == [1]
    assert frame["input_prediction"].tolist() == [2]
    assert frame["input_time"].tolist() == [3]
    assert frame["input_collected_hour"].tolist() == [4]
    assert frame["prediction"].tolist() == [9]
    assert frame["time"].tolist() == [BEGUN + timedelta(seconds=1)]


@pytest.mark.parametrize("compacted", [False, True])
def test_time_version_columns_and_shadows_choose_rows(world, compacted):
    records = [world.flight(number, time_ns=START + number * HOUR // 2) for number in range(6)]
    records += [world.flight(9, time_ns=START, version="2/x", arm="2")]
    records += [world.flight(4, time_ns=START + 2 * HOUR, arm="dark", shadow=True)]
    world.spool(records).close()
    if compacted:
        compact(world.folder, world.bundles)
        assert not list(world.folder.glob("*.spool"))
    distances = lambda **how: world.collected(**how)["distance"].tolist()  # noqa: E731
    assert distances() == [0.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert distances(version=1) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert distances(version="2/x") == [9.0]
    assert distances(shadows=True)[4:] == [3.0, 4.0, 4.0, 5.0]
    since, until = BEGUN + timedelta(minutes=30), BEGUN + timedelta(minutes=90)
    assert distances(since=since, until=until) == [1.0, 2.0]
    assert world.collected(since=BEGUN + timedelta(hours=9)).empty
    chosen = world.collected(columns=["carrier"])
    assert list(chosen) == ["prediction_id", "time", "carrier", "prediction"]
    with pytest.raises(InvalidInput, match=r"'carriers'.*distance, hour, carrier.*Did you mean carrier"):
        world.collected(columns=["carriers"])


def test_rows_of_several_scorers_come_in_the_order_of_time(world):
    files = [world.spool([world.flight(number, rows=12) for number in range(one, 20, 2)]) for one in (0, 1)]
    frame = world.collected()
    wanted = [f"0190a1b2-0000-7000-8000-{number:012d}:{row}" for number in range(20) for row in range(12)]
    assert frame["prediction_id"].tolist() == wanted
    for file in files:
        file.close()


def test_a_commit_that_was_made_twice_counts_once(world):
    world.spool([world.flight(1, rows=2)]).close()
    world.spool([world.flight(1, rows=2), world.flight(2)]).close()
    assert len(world.collected()) == 3
    compact(world.folder, world.bundles)
    assert len(world.collected()) == 3


def test_what_can_not_be_decoded_is_kept_counted_and_read_when_it_can(world):
    late = world.flight(3)
    name = late.bundle.removeprefix("sha256:")
    hidden = (world.bundles / name).rename(world.bundles / "hidden")
    refused = world.record(4, b"{", b"", {"inputs": COLUMNS, "task": "other"}, status=400)
    large = world.record(5, b"", b"", {"inputs": COLUMNS, "task": "other"})
    world.spool([late, refused, large, world.record(6, b"1", b"1", wire="a later one")]).close()
    assert len(both_ways(world)) == 0
    assert world.collected().attrs["undecoded"] == 4
    hidden.rename(world.bundles / name)
    frame = world.collected()
    assert frame["distance"].tolist() == [3.0]
    assert frame.attrs["undecoded"] == 3


def test_a_model_that_failed_has_inputs_and_no_prediction(world):
    world.spool([world.flight(1, status=500, answer=b'{"error":{}}'), world.flight(2)]).close()
    frame = both_ways(world)
    assert frame["status"].tolist() == [500, 200]
    assert frame["distance"].tolist() == [1.0, 2.0]
    assert frame["prediction"].isna().tolist() == [True, False]


def test_mixed_answers_become_text_in_parquet_and_lose_nothing(world):
    answers = [[1], ["one"], [{"a": 1}]]
    anything = {"inputs": COLUMNS, "task": "other"}
    bodies = {"dataframe_records": [{"distance": 1.0, "hour": 1, "carrier": "AA"}]}
    world.spool(
        [world.record(n, bodies, {"predictions": answer}, anything) for n, answer in enumerate(answers)]
    ).close()
    assert world.collected()["prediction"].tolist() == [1, "one", {"a": 1}]
    compact(world.folder, world.bundles)
    assert world.collected()["prediction"].tolist() == ["1", '"one"', '{"a":1}']


@pytest.mark.parametrize("redact", [["carrier"], ["distance", "hour", "carrier"]])
def test_what_a_spool_wrote_without_some_columns_is_read_without_them(world, redact):
    spool = Spool(CaptureConfig(folder=str(world.folder), redact=redact, window_s=0.02), "scorer")
    record = world.flight(1, rows=2)
    record.data, record.names = Rows([(1.5, 7, "Secret"), (2.5, 8, "Secret")]), ("distance", "hour", "carrier")
    assert spool.add(record)
    spool.close()
    frame = both_ways(world)
    assert [name for name in ("distance", "hour", "carrier") if name in frame] == [
        name for name in ("distance", "hour", "carrier") if name not in redact
    ]
    assert frame["prediction"].tolist() == [1, 1]
    if "distance" not in redact:
        assert frame["distance"].tolist() == [1.5, 2.5]


def test_an_endpoint_without_a_request_has_no_rows(world):
    assert world.collected().empty
    world.spool().close()
    frame = world.collected()
    assert frame.empty
    assert frame["time"].dt.tz is not None


def test_the_signature_of_each_version_reads_its_own_rows(world):
    renamed = SIGNATURE | {"inputs": [{"name": "miles", "type": "double"}]}
    newer = world.record(
        2, {"dataframe_records": [{"miles": 7.0}]}, {"predictions": [1]}, renamed, version="2", arm="2"
    )
    world.spool([world.flight(1), newer]).close()
    frame = both_ways(world)
    assert frame["distance"].dropna().tolist() == [1.0]
    assert frame["miles"].dropna().tolist() == [7.0]
