from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from nbmlops.serving import spool as module
from nbmlops.serving.configuration import CaptureConfig
from nbmlops.serving.documents import ScoringRequest
from nbmlops.serving.inputs import Generic, Rows, Table, Tensor
from nbmlops.serving.spool import Spool, without

from .spools import number_of, record, stored

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
SPLIT = b'{"dataframe_split":{"columns":%s}}'


def wait_until(condition) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.005)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "collected" / "flights"


@pytest.fixture
def make(folder):
    made = []

    def start(**config) -> Spool:
        made.append(Spool(CaptureConfig(folder=str(folder), **{"window_s": 0.02} | config), "scorer"))
        return made[-1]

    yield start
    for spool in made:
        spool.close()


@pytest.mark.parametrize("mode", ["batched", "strict"])
def test_an_acknowledged_record_is_on_the_disk(make, folder, mode):
    spool = make(mode=mode)
    seen = []

    async def add_some():
        done = asyncio.Event()

        def committed(number, reason):
            assert reason is None
            assert number in {number_of(one) for one in stored(folder)}
            seen.append(number)
            if len(seen) == 30:
                done.set()

        for number in range(30):
            assert spool.add(record(number), lambda reason, n=number: committed(n, reason))
            await asyncio.sleep(0)
        await asyncio.wait_for(done.wait(), PATIENCE)

    asyncio.run(add_some())
    assert seen == list(range(30))
    assert stored(folder) == [record(number) for number in range(30)]
    figures = spool.figures()
    assert (figures["added"], figures["committed"], figures["pending"], figures["failing"]) == (30, 30, 0, "")
    assert figures["slowest_commit_s"] > 0


def test_records_are_committed_together_and_are_there_without_an_end(make, folder):
    spool = make(window_s=0.5)
    for number in range(1000):
        assert spool.add(record(number))
    wait_until(lambda: spool.figures()["committed"] == 1000)
    assert [number_of(one) for one in stored(folder)] == list(range(1000))
    assert len(list(folder.iterdir())) == 1


def test_closing_commits_what_is_pending(make, folder):
    spool = make(window_s=3600.0)
    spool.add(record(1))
    spool.close()
    assert stored(folder) == [record(1)]
    assert not spool.add(record(2))
    assert spool.figures()["dropped"] == 1


def test_a_full_queue_drops_and_counts(make, folder):
    spool = make(window_s=3600.0, pending=10)
    assert [spool.add(record(number)) for number in range(12)] == [True] * 10 + [False] * 2
    figures = spool.figures()
    assert (figures["dropped"], figures["pending"]) == (2, 10)
    assert 0 <= figures["oldest_pending_s"] < PATIENCE
    spool.close()
    assert len(stored(folder)) == 10


def test_the_bytes_that_wait_are_bounded_too(make, monkeypatch):
    monkeypatch.setattr(module, "PENDING_BYTES", 10_000)
    spool = make(window_s=0.02)
    kept = [spool.add(record(number, body=bytes(4000), answer=b"")) for number in range(3)]
    assert kept == [True, True, False]
    wait_until(lambda: not spool.figures()["pending"])
    assert spool.add(record(9, body=bytes(4000)))


def test_a_record_too_large_is_kept_without_its_bodies(make, folder, monkeypatch):
    monkeypatch.setattr(module, "RECORD_BYTES", 1000)
    spool = make()
    assert spool.add(record(1, body=bytes(2000)))
    assert spool.add(record(2, body=bytes(500), answer=b""))
    spool.close()
    assert stored(folder) == [record(1, body=b"", answer=b""), record(2, body=bytes(500), answer=b"")]
    assert spool.figures()["too_large"] == 1


def test_a_sample_is_the_same_for_champion_and_shadow(make, folder):
    spool = make(sample=0.3)
    for number in range(1000):
        assert spool.add(record(number)) == spool.add(record(number, arm="2", shadow=True))
    spool.close()
    kept = {arm: [number_of(one) for one in stored(folder) if one.arm == arm] for arm in ("1", "2")}
    assert kept["1"] == kept["2"]
    assert 230 < len(kept["1"]) < 370
    assert spool.figures()["skipped"] == 2 * (1000 - len(kept["1"]))
    assert spool.figures()["dropped"] == 0


def test_a_redacted_column_is_written_nowhere(make, folder):
    spool = make(redact=["name"])
    data = Rows([("Ada Secret", 1.5, np.datetime64("2026-01-02T03:04:05", "ns")), ("Bob Secret", None, None)])
    request = ScoringRequest(data)
    body = b'{"dataframe_split":{"columns":["name","x"],"data":[["Ada Secret",1.5]]}}'
    spool.add(record(1, body=body, data=request.data, names=("name", "x", "at")))
    spool.add(record(2, body=b"Ada Secret", data=Generic("inputs", ["Ada Secret"])))
    spool.add(record(3, body=b"Ada Secret"))
    spool.close()
    first, *others = stored(folder)
    assert first.wire == "columns"
    assert first.body == SPLIT % b'["x","at"],"data":[[1.5,"2026-01-02T03:04:05.000000000"],[null,null]]'
    assert [one.body for one in others] == [b"", b""]
    assert not any(b"Secret" in path.read_bytes() for path in folder.iterdir())


def test_what_can_not_be_cut_by_column_is_left_out():
    table = Table.of(("a", "b"), [np.array([1, 2]), np.array(["x", "y"], dtype=object)])
    assert without(table, (), frozenset({"a"})) == SPLIT % b'["b"],"data":[["x"],["y"]]'
    assert without(Rows([(1, None)], frozenset({1})), ("a", "b"), frozenset()) == SPLIT % b'["a"],"data":[[1]]'
    assert without(Tensor(np.ones((2, 2))), (), frozenset({"a"})) == b""


def test_a_record_that_can_not_be_encoded_takes_no_other_with_it(make, folder):
    spool = make(window_s=0.1)
    reasons = []

    async def add_some():
        spool.add(record(1))
        assert not spool.add(record(2, key="\ud800"), reasons.append)
        spool.add(record(3), reasons.append)
        while not reasons:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(add_some(), PATIENCE))
    assert reasons == [None]
    assert stored(folder) == [record(1), record(3)]
    assert spool.figures()["unfit"] == 1
    assert spool.figures()["pending"] == 0


def test_a_redacted_record_that_can_not_be_encoded_is_told(make, folder):
    spool = make(window_s=0.1, redact=["name"])
    reasons = []

    async def add_some():
        assert spool.add(record(1, key="\ud800"), reasons.append)
        assert spool.add(record(2), reasons.append)
        while len(reasons) < 2:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(add_some(), PATIENCE))
    assert reasons == ["the record can't be encoded", None]
    assert [number_of(one) for one in stored(folder)] == [2]
    assert (spool.figures()["unfit"], spool.figures()["pending"]) == (1, 0)


def test_nothing_is_lost_between_two_batches(make, folder, monkeypatch):
    spool = make(window_s=0.0)
    encode = module.Frame.add

    def slowly(frame, one):
        time.sleep(0.0005)  # the other thread gets its turn between choosing a batch and adding to it
        encode(frame, one)

    monkeypatch.setattr(module.Frame, "add", slowly)
    for number in range(300):
        assert spool.add(record(number))
    spool.close()
    assert [number_of(one) for one in stored(folder)] == list(range(300))


def test_a_clock_that_jumps_back_loses_and_doubles_nothing(make, folder, monkeypatch):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 1)
    spool = make()
    for number, now in enumerate([2e18, 1e18, 3e18, 1.0, 1e18]):
        monkeypatch.setattr(time, "time_ns", lambda now=now: int(now))
        monkeypatch.setattr(time, "time", lambda now=now: now / 1e9)
        spool.add(record(number))
        wait_until(lambda number=number: spool.figures()["committed"] == number + 1)
    spool.close()
    assert len(list(folder.iterdir())) == 5
    assert sorted(number_of(one) for one in stored(folder)) == list(range(5))


def test_a_file_that_is_large_or_old_is_finished(make, folder, monkeypatch):
    spool = make()
    spool.add(record(1))
    wait_until(lambda: spool.figures()["committed"] == 1)
    monkeypatch.setattr(module, "SEGMENT_S", 0.0)
    spool.add(record(2))
    wait_until(lambda: len(list(folder.iterdir())) == 2)
    spool.close()
    assert stored(folder) == [record(1), record(2)]


def test_a_folder_that_is_missing_delays_and_then_all_is_written(make, folder, tmp_path, monkeypatch):
    shutil.rmtree(tmp_path)
    spool = make(pending=5)
    assert spool.add(record(0))
    wait_until(lambda: spool.figures()["failing"] == "No such file or directory")
    assert [spool.add(record(number)) for number in range(1, 7)] == [True] * 4 + [False] * 2
    assert spool.figures()["dropped"] == 2
    tmp_path.mkdir()
    wait_until(lambda: spool.figures()["committed"] == 5)
    assert spool.figures()["failing"] == ""
    assert [number_of(one) for one in stored(folder)] == list(range(5))


def test_a_folder_that_is_removed_while_it_is_written_comes_back(make, folder):
    spool = make()
    spool.add(record(1))
    wait_until(lambda: spool.figures()["committed"] == 1)
    shutil.rmtree(folder.parent)
    spool.add(record(2))
    wait_until(lambda: spool.figures()["committed"] == 2)
    assert spool.figures()["failed"] == 1
    assert stored(folder) == [record(2)]


def test_a_strict_spool_on_a_failing_disk_says_so_and_keeps_nobody_waiting(make, folder, tmp_path):
    shutil.rmtree(tmp_path)
    spool = make(mode="strict")
    reasons = []

    async def add_some():
        assert spool.add(record(1), reasons.append)
        while not reasons:
            await asyncio.sleep(0.005)
        assert not spool.add(record(2), reasons.append)

    asyncio.run(asyncio.wait_for(add_some(), PATIENCE))
    assert reasons == ["No such file or directory"]
    tmp_path.mkdir()
    wait_until(lambda: not spool.figures()["failing"])
    assert spool.add(record(3))
    spool.close()
    assert [number_of(one) for one in stored(folder)] == [1, 3]


FULL_DISK = textwrap.dedent("""
    import resource, signal, sys, time
    from tests.serving.spools import record
    from nbmlops.serving.configuration import CaptureConfig
    from nbmlops.serving.spool import Spool

    def wait_until(condition):
        until = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.005)

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    spool = Spool(CaptureConfig(folder=sys.argv[1], window_s=0.01), "scorer")
    number = 0
    while not spool.failing:
        spool.add(record(number, body=bytes(30_000)))
        spool.add(record(number + 1, body=bytes(30_000)))
        number += 2
        time.sleep(0.005)
    assert spool.failing == "File too large", spool.failing
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    wait_until(lambda: not spool.figures()["pending"])
    assert not spool.failing and spool.figures()["committed"] == number
    spool.close()
    print(number)
""")


@pytest.mark.integration
def test_a_disk_that_takes_no_more_and_then_does_again(folder):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [number_of(one) for one in stored(folder)] == list(range(int(done.stdout)))


@pytest.mark.integration
@pytest.mark.parametrize("mode", ["batched", "strict"])
def test_what_was_acknowledged_survives_kill_9(folder, mode):
    chance = random.Random(7)
    for round_ in range(3):
        place = folder.with_name(f"{mode}-{round_}")
        command = [sys.executable, "-m", "tests.serving.spools", str(place), mode]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            for _ in range(chance.randrange(50, 2000)):
                assert child.stdout.readline().endswith(" None\n")
            child.send_signal(signal.SIGKILL)
            lines = child.stdout.read().splitlines()
        found = [number_of(one) for one in stored(place)]
        acknowledged = [int(line.split()[0]) for line in lines if line.endswith(" None")]
        assert found == list(range(len(found))), "the rest is lost from its end alone"
        assert not acknowledged or acknowledged[-1] < len(found)
