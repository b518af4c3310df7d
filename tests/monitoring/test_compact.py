from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nbmlops.core.settings import settings
from nbmlops.monitoring.compact import compact as run
from nbmlops.monitoring.compact import main
from nbmlops.monitoring.store import Store

from .conftest import START, World

HOUR = 3600 * 10**9


def fill(world: World, files: int = 2) -> list[str]:
    """Write finished files with rows of two versions in two hours, and return the ids of all rows."""
    for file in range(files):
        records = [
            world.flight(100 * file + number, rows=2, version=str(number % 2), time_ns=START + (number // 2 % 2) * HOUR)
            for number in range(8)
        ]
        world.spool(records[:3], records[3:]).close()
    return ids(world)


def ids(world: World) -> list[str]:
    return sorted(world.collected()["prediction_id"])


def test_it_writes_one_file_a_version_and_hour_that_anything_can_read(world):
    expected = fill(world, files=1)
    done = run(world.folder, world.bundles)
    assert (done.spools, done.rows, done.undecoded, done.busy) == (1, 16, 0, False)
    files = sorted(path.relative_to(world.folder).parent.as_posix() for path in world.folder.rglob("*.parquet"))
    assert files == [f"version={v}/collected_hour=2026-09-21T{h}" for v in "01" for h in (14, 15)]
    assert not list(world.folder.glob("*.spool"))
    first = pq.ParquetFile(next(world.folder.rglob("*.parquet")))
    assert first.metadata.row_group(0).column(0).compression == "ZSTD"
    assert first.schema_arrow.field("time").type == pa.timestamp("ns", "UTC")
    whole = pq.read_table(world.folder, partitioning="hive").to_pandas()
    assert sorted(whole["prediction_id"]) == expected


def test_a_file_that_is_still_written_is_left_alone(world):
    segment = world.spool([world.flight(1)])
    assert run(world.folder, world.bundles).spools == 0
    assert segment.path.exists()
    segment.close()
    assert run(world.folder, world.bundles).spools == 1


def test_two_never_work_at_once(world):
    fill(world)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(world.folder / ".compacting")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout.readline() == b"locked\n"
    assert run(world.folder, world.bundles).busy
    other.communicate()
    assert run(world.folder, world.bundles).spools == 2


HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "w")
fcntl.flock(stream, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


class Cut(BaseException):
    """Stands for a kill: nothing handles it."""


def test_cut_off_before_any_call_that_changes_a_file_it_loses_and_doubles_nothing(world, monkeypatch):
    expected = fill(world, files=1)
    left = -1

    def counted(function):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                raise Cut
            return function(*args, **kwargs)

        return call

    for owner, name in [(os, "fsync"), (Path, "rename"), (Path, "unlink"), (Path, "mkdir"), (pq, "write_table")]:
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    cuts = 0
    while True:
        left = cuts + 1
        try:
            done = run(world.folder, world.bundles)
        except Cut:
            left = -1
            cuts += 1
            assert ids(world) == expected
            _, parquets = Store(world.folder).read()
            assert not {path.stem for path in parquets} & {path.stem for path in Store(world.folder).spools()}
        else:
            break
        if cuts % 10 == 0:  # also from where it was cut off, not from the same beginning each time
            fill(world, 1)
            expected = ids(world)
    left = -1
    assert cuts > 20
    assert done.spools
    assert ids(world) == expected
    assert not list(world.folder.glob("*.spool"))
    assert not list(world.folder.rglob("*.tmp"))


@pytest.mark.integration
def test_kill_9_at_random_loses_and_doubles_nothing(world):
    chance = random.Random(3)
    expected = fill(world, files=12)
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", BEGIN, str(world.folder)], stdout=subprocess.PIPE) as child:
            for _ in range(chance.randrange(1, 25)):
                child.stdout.readline()
            child.send_signal(signal.SIGKILL)
        assert ids(world) == expected
    assert not run(world.folder, world.bundles).busy
    assert not list(world.folder.glob("*.spool"))
    assert ids(world) == expected


BEGIN = """
import os, sys
from nbmlops.monitoring.compact import main
from nbmlops.monitoring.store import Store
fsync = os.fsync
os.fsync = lambda descriptor: (print(flush=True), fsync(descriptor))
main([sys.argv[1]])
"""


def test_a_reader_sees_every_row_once_while_it_runs(world):
    expected = fill(world, files=20)
    seen = []
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.append(ids(world))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while not seen and reader.is_alive():
            time.sleep(0.005)
        run(world.folder, world.bundles)
    finally:
        done.set()
        reader.join()
    assert len(seen) > 1
    assert all(one == expected for one in seen)


def test_what_killed_writers_left_is_swept(world, monkeypatch):
    world.folder.mkdir(parents=True)
    (world.folder / "scorer-1.spool.new").write_bytes(b"nbs")
    (world.folder / "scorer-2.spool").write_bytes(b"")
    segment = world.spool([world.flight(1)])
    living = segment.path.rename(world.folder / "scorer-3.spool.new")
    run(world.folder, world.bundles)
    assert [path.name for path in world.folder.glob("*.spool*")] == [living.name]
    segment.close()


def test_a_full_disk_leaves_everything_as_it_was(world, monkeypatch, capsys):
    expected = fill(world)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    assert main([str(world.folder)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert ids(world) == expected
    monkeypatch.undo()
    assert main([str(world.folder), "--days", "1e6"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 32
    assert ids(world) == expected


def test_data_past_its_time_is_deleted(world):
    now = time.time_ns()
    world.spool([world.flight(n, time_ns=now - n * 24 * HOUR) for n in range(5)]).close()
    done = run(world.folder, world.bundles, days=2.5)
    assert done.deleted == 2
    assert sorted(world.collected()["distance"]) == [0.0, 1.0, 2.0]
    assert run(world.folder, world.bundles, days=2.5).deleted == 0


def test_beyond_a_size_the_oldest_is_deleted(world):
    world.spool([world.flight(n, time_ns=START + n * HOUR) for n in range(4)]).close()
    run(world.folder, world.bundles)
    sizes = [path.stat().st_size for path in sorted(world.folder.rglob("*.parquet"))]
    assert run(world.folder, world.bundles, size=sum(sizes) - 1).deleted == 1
    assert sorted(world.collected()["distance"]) == [1.0, 2.0, 3.0]
    assert run(world.folder, world.bundles, size=sizes[-1]).deleted == 2


def test_the_limits_are_settings(world, monkeypatch, capsys):
    monkeypatch.setenv("NBMLOPS_COLLECTED_DAYS", "0.5")
    assert settings().collected_days == 0.5
    fill(world, files=1)
    assert main([str(world.folder)]) == 0
    capsys.readouterr()
    now = time.time_ns()
    world.spool([world.flight(1, time_ns=now), world.flight(2, time_ns=now - 30 * HOUR)]).close()
    assert main([str(world.folder)]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] == 1
    assert world.collected()["distance"].tolist() == [1.0]
