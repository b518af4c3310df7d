"""Compaction: finished spool files become zstd Parquet, one file for each version and hour.

``python -m nbmlops.monitoring.compact FOLDER`` works through one endpoint's folder once. It is safe to start at any
time and to kill at any point: files get their names when they are complete and on the disk, and a spool file is deleted
when all that became of it has its name (see `nbmlops.monitoring.store`). Two never work at once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nbmlops.core.settings import settings
from nbmlops.monitoring.bundles import Decoders
from nbmlops.monitoring.frames import frames_of
from nbmlops.monitoring.store import HOUR, PARQUET, Partition, Store, records_of
from nbmlops.serving.outputs import to_json
from nbmlops.serving.segments import MAGIC, SUFFIX, UNREADY, Record, frame_of

TEMPORARY = ".tmp"
DAY_S = 86_400.0


@dataclass
class Compacted:
    """What one run did.

    Attributes
    ----------
    spools, rows : int
        Spool files that became Parquet, and rows in it.
    undecoded : int
        Records that could not be decoded, and were kept as they are.
    deleted : int
        Files that were past their retention.
    busy : bool
        Another run was at work, so this one did nothing.
    """

    spools: int = 0
    rows: int = 0
    undecoded: int = 0
    deleted: int = 0
    busy: bool = False


def compact(folder: Path, bundles: Path, *, days: float | None = None, size: int | None = None) -> Compacted:
    """Turn the finished spool files of an endpoint's folder into Parquet, and delete what is past its retention.

    Parameters
    ----------
    folder : pathlib.Path
    bundles : pathlib.Path
        The folder of the workspace's bundles.
    days : float, optional, days
        How long data is kept. By default it is kept whatever its age.
    size : int, optional, bytes
        How much is kept, the newest. By default all.

    Raises
    ------
    OSError
        The disk is full or can't be written. Nothing is lost by it.
    """
    store, done = Store(folder), Compacted()
    with _alone(store.lock) as alone:
        if not alone:
            return Compacted(busy=True)
        _sweep(store)
        decoders = Decoders(bundles)
        for spool in store.spools():
            with _finished(spool) as finished:
                if finished:
                    _compact_one(store, spool, decoders, done=done)
        done.deleted = retain(store, days=days, size=size)
    return done


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Hold the lock file while the block runs; False where another process does."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _finished(spool: Path) -> Iterator[bool]:
    """Whether nobody writes the file any more; nobody begins to while the block runs."""
    try:
        descriptor = os.open(spool, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(store: Store) -> None:
    """Remove what killed processes left half made."""
    for path in store.folder.glob(f"*{SUFFIX}{UNREADY}"):
        with _finished(path) as finished:
            if finished:
                path.unlink(missing_ok=True)
    for path in [*store.folder.glob(f"version=*/{HOUR}=*/*{TEMPORARY}"), *store.undecoded.glob(f"*{TEMPORARY}")]:
        path.unlink(missing_ok=True)


def _compact_one(store: Store, spool: Path, decoders: Decoders, *, done: Compacted) -> None:
    for path in store.leftovers(spool):
        path.unlink()
    partitions: dict[Partition, list[Record]] = {}
    for record in records_of(spool):
        partitions.setdefault(Partition.of(record), []).append(record)
    raw: list[Record] = []
    for partition, records in partitions.items():
        frame, undecoded = frames_of(records, decoders)
        raw += undecoded
        if len(frame):
            _publish(store.folder / partition.place / f"{spool.stem}{PARQUET}", _arrow(frame.drop(columns="version")))
        done.rows += len(frame)
    if raw:
        _publish(store.undecoded / spool.name, MAGIC + frame_of(raw))
    spool.unlink()
    done.spools += 1
    done.undecoded += len(raw)


def _publish(path: Path, content: pa.Table | bytes) -> None:
    """Write a file so that it has its name only when it is complete and on the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as stream:
        if isinstance(content, bytes):
            stream.write(content)
        else:
            pq.write_table(content, stream, compression="zstd")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    """Return the frame as an Arrow table; a column of mixed values, which has no type there, as JSON text."""
    columns = {}
    for name in frame:
        try:
            columns[name] = pa.array(frame[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            columns[name] = pa.array([None if one is None else to_json(one).decode() for one in frame[name]])
    return pa.table(columns)


def retain(store: Store, *, days: float | None, size: int | None) -> int:
    """Delete the oldest compacted data, and return how many files that were."""
    aged = []
    for path in store.parquets():
        partition = Partition.at(path)
        if partition is not None:
            aged.append((3600.0 * (partition.hour + 1), path))
    aged += [(path.stat().st_mtime, path) for path in store.undecoded.glob(f"*{SUFFIX}")]
    kept, deleted = 0, 0
    for end, path in sorted(aged, reverse=True):
        kept += path.stat().st_size
        if (days is not None and end < time.time() - days * DAY_S) or (size is not None and kept > size):
            path.unlink(missing_ok=True)
            deleted += 1
            with contextlib.suppress(OSError):  # the folder holds more
                path.parent.rmdir()
    return deleted


def _end_with_input() -> None:
    """End when whoever started this is gone; a compaction may be cut off anywhere."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def main(arguments: list[str] | None = None) -> int:
    """Run one compaction."""
    parser = argparse.ArgumentParser(prog="compact", description="Turns an endpoint's spool files into Parquet.")
    parser.add_argument("folder", type=Path, help="the endpoint's folder of collected data")
    parser.add_argument("--bundles", type=Path, help="the folder of bundles (default: the workspace's)")
    parser.add_argument("--days", type=float, help="how long data is kept (default: as set)")
    parser.add_argument("--bytes", type=int, help="how much is kept (default: as set)")
    parser.add_argument("--attached", action="store_true", help="end when standard input does")
    given = parser.parse_args(arguments)
    if given.attached:
        threading.Thread(target=_end_with_input, daemon=True).start()
    limits = settings()
    try:
        done = compact(
            given.folder,
            given.bundles or given.folder.resolve().parent.parent / "bundles",
            days=limits.collected_days if given.days is None else given.days,
            size=limits.collected_bytes if given.bytes is None else given.bytes,
        )
    except OSError as error:
        print(f"{given.folder} could not be compacted: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 1
    print(to_json(vars(done)).decode())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
