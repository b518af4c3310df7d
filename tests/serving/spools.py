"""Records for tests of the spool, and the child process that writes them until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from nbmlops.serving.configuration import CaptureConfig
from nbmlops.serving.segments import SUFFIX, Record, read_segment
from nbmlops.serving.spool import Spool


def record(number: int, **more) -> Record:
    """Return a record whose prediction id ends with `number`."""
    fields = {
        "prediction": f"0190a1b2-0000-7000-8000-{number:012d}",
        "time_ns": 1_790_000_000_000_000_000 + number,
        "arm": "1",
        "version": "1",
        "bundle": "sha256:aa",
        "wire": "mlflow",
        "kind": "application/json",
        "body": b'{"instances":[[%d]]}' % number,
        "answer": b'{"predictions":[%d]}' % number,
        "latency_s": 0.001,
    }
    return Record(**fields | more)


def number_of(record: Record) -> int:
    """Return the number that a prediction id ends with."""
    return int(record.prediction[-12:])


def stored(folder: Path) -> list[Record]:
    """Return all records in a folder's spool files, in the order of the files' names."""
    return [one for path in sorted(folder.glob(f"*{SUFFIX}")) for frame in read_segment(path) for one in frame]


async def write_for_ever(folder: str, mode: str) -> None:
    """Add records and say on stdout which were acknowledged."""
    spool = Spool(CaptureConfig(folder=folder, mode=mode, window_s=0.02), "scorer")
    number = 0
    while True:
        for _ in range(20):
            spool.add(record(number), lambda reason, n=number: print(f"{n} {reason}", flush=True))
            number += 1
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    asyncio.run(write_for_ever(sys.argv[1], sys.argv[2]))
