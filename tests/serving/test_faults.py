from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nbmlops.serving import faults
from nbmlops.serving.errors import ServingError
from nbmlops.serving.failures import failure_of
from nbmlops.serving.faultfile import Fault, FaultFile, Keeping
from nbmlops.serving.faults import ErrorStore, Rates, say_where

SECRET = "123-45-6789"


def fault(number: int = 0, **facts: Any) -> Fault:
    given = {"arm": "3", "model": "flights", "version": "3", "bundle": "sha256:0", "body": b'{"inputs": [[1]]}'}
    return Fault(f"id-{number}", **{**given, **facts})


def failing(message: str = "no such hour") -> Any:
    try:
        raise ValueError(message)
    except ValueError as error:
        return failure_of(error)


def test_what_failed_is_found_by_its_id(tmp_path: Path) -> None:
    store = ErrorStore(str(tmp_path / "errors"))
    given = fault(headers={"content-type": "application/json"}, answer=b'{"error": {}}', failure=failing())
    assert store.add(given)
    assert store.flush()
    file = FaultFile(tmp_path / "errors")
    assert file.find("id-0") == given
    assert file.find("id-1") is None


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "errors"
    store = ErrorStore(str(folder))
    store.add(fault())
    assert store.flush()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_several_scorers_write_to_one_store(tmp_path: Path) -> None:
    def write(scorer: int) -> None:
        for number in range(20):
            FaultFile(tmp_path).write([fault(100 * scorer + number)], Keeping())

    threads = [threading.Thread(target=write, args=(scorer,)) for scorer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(FaultFile(tmp_path).newest(1000)) == 80


def test_the_oldest_go_first(tmp_path: Path) -> None:
    file, keeping = FaultFile(tmp_path), Keeping(entries=3)
    for number in range(5):
        file.write([fault(number, at=time.time() + number)], keeping)
    assert [one.prediction for one in file.newest(10)] == ["id-4", "id-3", "id-2"]
    assert [one.prediction for one in file.newest(1)] == ["id-4"]


def test_it_stays_under_its_size(tmp_path: Path) -> None:
    file, keeping = FaultFile(tmp_path), Keeping(total_bytes=200_000)
    for number in range(10):
        file.write([fault(number, body=b"x" * 50_000)], keeping)
    assert [one.prediction for one in file.newest(10)] == ["id-9", "id-8", "id-7"]
    assert file.path.stat().st_size < 400_000


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    file = FaultFile(tmp_path)
    file.write([fault(0, at=time.time() - 8 * 86400)], Keeping(days=30))
    file.write([fault(1)], Keeping(days=7))
    assert [one.prediction for one in file.newest(10)] == ["id-1"]


def test_what_is_erased_is_no_longer_in_the_file(tmp_path: Path) -> None:
    file = FaultFile(tmp_path)
    file.write([fault(0, body=SECRET.encode()), fault(1)], Keeping())
    assert SECRET.encode() in file.path.read_bytes()
    assert file.erase("id-0") == 1
    assert SECRET.encode() not in file.path.read_bytes()
    assert file.erase() == 1
    assert file.newest(10) == []


def test_redacted_columns_are_never_written_and_it_says_so(tmp_path: Path) -> None:
    store = ErrorStore(str(tmp_path), redact=["ssn"])
    body = f'{{"dataframe_records": [{{"hour": 3, "ssn": "{SECRET}"}}]}}'.encode()
    store.add(fault(body=body, columns=["hour", "ssn"], failure=failing(f"{SECRET} is no number")))
    store.add(fault(1, body=body[:-2], columns=["hour", "ssn"]))
    assert store.flush()
    kept, opaque = FaultFile(tmp_path).find("id-0"), FaultFile(tmp_path).find("id-1")
    assert kept is not None
    assert opaque is not None
    assert kept.body == b'{"dataframe_records":[{"hour":3}]}'
    assert kept.missing == ["columns ssn (redacted)"]
    assert opaque.body is None
    assert "body" in opaque.missing[1]
    assert SECRET.encode() not in (tmp_path / "errors.db").read_bytes()


def test_a_large_body_is_left_out_and_it_says_so(tmp_path: Path) -> None:
    store = ErrorStore(str(tmp_path), keeping=Keeping(body_bytes=1000))
    store.add(fault(body=b"x" * 1001))
    assert store.flush()
    [kept] = FaultFile(tmp_path).newest(1)
    assert kept.body is None
    assert kept.missing == ["the body (1,001 bytes)"]


def test_of_a_flood_a_few_are_kept_and_the_rest_is_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = ErrorStore(str(tmp_path), keeping=Keeping(per_second=2))
    taken = [store.add(fault(number, failure=failing())) for number in range(500)]
    assert store.flush()
    kept = FaultFile(tmp_path).newest(1000)
    assert 2 <= len(kept) == sum(taken) < 100
    assert store.unkept == 500 - len(kept)
    assert len(capfd.readouterr().err.splitlines()) == len(kept)


def test_another_failure_is_not_lost_in_a_flood() -> None:
    rates = Rates(per_second=2)
    assert [rates.admit("flood", 10.0) for _ in range(4)] == [0, 0, None, None]
    assert rates.admit("other", 10.5) == 0
    assert rates.admit("flood", 11.0) == 2
    assert rates.admit("flood", 11.1) == 0


def test_many_places_at_once_are_bounded_together() -> None:
    rates = Rates(per_second=2)
    assert sum(rates.admit(place, 10.0) is not None for place in range(100)) == 20


def test_what_can_not_be_written_in_time_is_counted(tmp_path: Path) -> None:
    store = ErrorStore(str(tmp_path), keeping=Keeping(pending_bytes=1000))
    assert not store.add(fault(body=b"x" * 2000))
    assert store.unkept == 1


def test_a_store_that_can_not_be_written_stops_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "errors").write_text("a file, not a folder")
    store = ErrorStore(str(tmp_path / "errors"))
    store.add(fault(failure=failing(SECRET)))
    assert store.flush()
    assert store.lost == 1
    assert "could not be kept" in (said := capfd.readouterr().err)
    assert SECRET not in said


def test_the_log_says_who_and_of_which_class_and_no_more(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = ErrorStore(str(tmp_path))
    store.add(fault(body=SECRET.encode(), failure=failing(SECRET)))
    assert store.flush()
    assert capfd.readouterr().err == "id-0 arm=3 ValueError\n"


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    store = ErrorStore()
    assert not store.add(fault())
    store.open(str(tmp_path))
    assert store.add(fault())
    assert store.flush()


def test_a_store_of_another_format_is_left_alone(tmp_path: Path) -> None:
    file = FaultFile(tmp_path)
    file.write([fault()], Keeping())
    with sqlite3.connect(file.path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(ServingError, match="format 9"):
        file.newest(1)


def test_without_a_store_stderr_tells_where_and_not_what(capsys):
    say_where(fault(failure=failing(SECRET)))
    said = capsys.readouterr().err
    assert "id-0 arm=3" in said
    assert "ValueError" in said
    assert SECRET not in said


def test_a_long_traceback_is_cut_to_its_end(capsys, monkeypatch):
    monkeypatch.setattr(faults, "LONGEST_TEXT", 40)
    say_where(fault(failure=failing()))
    assert len(capsys.readouterr().err) < 70
