"""Words become what a verb takes, or an error that says what would have been taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.core.errors import InvalidInput
from nbmlops.workflows.parameters import Parameter, moment, pairs, read_data, splits

KEYS = st.text(st.characters(exclude_characters="=", exclude_categories=["Zs", "Cc", "Cs", "Zl", "Zp"]), min_size=1)


@given(st.dictionaries(KEYS, st.text().map(str.strip)))
def test_tags_come_back_as_they_were_given(tags: dict[str, str]) -> None:
    assert pairs([f"{key}={value}" for key, value in tags.items()]) == tags
    assert pairs(tags) == tags


@pytest.mark.parametrize("word", ["area", "=botany", " =botany", ""])
def test_a_word_that_is_no_tag(word: str) -> None:
    with pytest.raises(InvalidInput, match="key=value"):
        pairs([word])


@given(st.dictionaries(st.integers(1, 999).map(str), st.floats(0, 100)))
def test_shares_come_back_as_they_were_given(shares: dict[str, float]) -> None:
    assert splits([f"{version}={share!r}" for version, share in shares.items()]) == shares
    assert splits([f"{version}={share!r}%" for version, share in shares.items()]) == shares


@pytest.mark.parametrize("word", ["1", "1=", "1=most", "1=9=0"])
def test_a_word_that_is_no_share(word: str) -> None:
    with pytest.raises(InvalidInput, match="version=percent"):
        splits([word])


@given(st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)))
def test_iso_times_are_read_exactly(time: datetime) -> None:
    assert moment(time.isoformat()) == time
    assert moment(time) == time


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("10 min ago", timedelta(minutes=10)),
        ("10m ago", timedelta(minutes=10)),
        ("2 hours ago", timedelta(hours=2)),
        ("1.5 d ago", timedelta(days=1.5)),
        ("3 weeks ago", timedelta(weeks=3)),
        ("30 seconds ago", timedelta(seconds=30)),
        ("now", timedelta(0)),
    ],
)
def test_times_before_now(text: str, back: timedelta) -> None:
    before = datetime.now(UTC)
    assert before - back <= moment(text) <= datetime.now(UTC) - back


def test_a_time_without_a_zone_is_local_and_one_without_a_date_is_todays() -> None:
    assert moment("2026-03-01T10:00") == datetime(2026, 3, 1, 10).astimezone()
    today = datetime.now().astimezone()
    assert moment("00:00") in {today.replace(hour=0, minute=0, second=0, microsecond=0), moment("00:00")}
    assert moment("2026-03-01") == datetime(2026, 3, 1).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "25:99", "", "10 parsecs ago", "2026-13-01"])
def test_a_text_that_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInput, match="10 min ago"):
        moment(text)


def test_frames_are_read_by_the_name_of_the_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_csv(tmp_path / "rows.csv.gz", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.csv.gz", "rows.parquet"):
        assert read_data(tmp_path / name)["a"].tolist() == [1, 2]
    assert read_data((tmp_path / "rows.csv").as_uri())["a"].tolist() == [1, 2]


def test_what_is_no_path_is_data_already() -> None:
    frame = pd.DataFrame({"a": [1]})
    assert read_data(frame) is frame
    assert read_data(None) is None


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no file"):
        read_data(tmp_path / "rows.csv")


def test_a_file_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").touch()
    with pytest.raises(InvalidInput, match="of no known format"):
        read_data(tmp_path / "rows.xlsx")


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InvalidInput, match="can't be read as"):
        read_data(tmp_path / name)


def test_what_a_verb_says_goes_over_what_the_alias_says() -> None:
    below = Parameter("below", "REF", completes="model")
    assert Parameter("above").over(below) == Parameter("above", "REF", completes="model")
