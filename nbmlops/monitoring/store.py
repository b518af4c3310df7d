"""The folder of an endpoint's collected data: spool files, what was compacted of them, and how both are told apart.

```
<endpoint>/
    <name>.spool                            as a scorer wrote it, or still writes
    version=3/collected_hour=2026-11-24T15/<name>.parquet     what became of it
    undecoded/<name>.spool                  records of it that could not be decoded
    .compacting                             the lock of a running compaction
```

A finished spool file becomes Parquet files of the same name, one for each version and hour, and is deleted when all of
them are in place. So while the spool file is there it counts and they don't; when it is gone they are complete.
Whoever reads, lists the spool files first. Nothing else is needed for a reader, or a compaction that was killed at any
point, to find each record exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from nbmlops.serving.segments import SUFFIX, Record, read_segment

PARQUET = ".parquet"
UNDECODED = "undecoded"
HOUR = "collected_hour"  # "hour" alone is too likely an input
HOUR_FORMAT = "%Y-%m-%dT%H"
HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, order=True)
class Partition:
    """The rows of one version and one hour."""

    version: str
    hour: int

    @classmethod
    def of(cls, record: Record) -> Partition:
        return cls(record.version, record.time_ns // HOUR_NS)

    @classmethod
    def at(cls, path: Path) -> Partition | None:
        """Return the partition that a Parquet file lies in, None where its place says none."""
        try:
            hour = datetime.strptime(path.parent.name.removeprefix(f"{HOUR}="), HOUR_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(unquote(path.parent.parent.name.removeprefix("version=")), int(hour.timestamp()) // 3600)

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(3600 * self.hour, UTC)

    @property
    def place(self) -> str:
        """Its folder, below the endpoint's."""
        return f"version={quote(self.version, safe='')}/{HOUR}={self.start:{HOUR_FORMAT}}"


@dataclass(frozen=True)
class Store:
    """The collected data of one endpoint.

    Attributes
    ----------
    folder : pathlib.Path
    """

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / ".compacting"

    @property
    def undecoded(self) -> Path:
        return self.folder / UNDECODED

    def spools(self) -> list[Path]:
        """Return the spool files, finished or not."""
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def parquets(self) -> list[Path]:
        """Return all Parquet files, those included whose spool file is still there."""
        return sorted(self.folder.glob(f"version=*/{HOUR}=*/*{PARQUET}"))

    def leftovers(self, spool: Path) -> list[Path]:
        """Return what an earlier compaction of a spool file left before it was killed."""
        return [*self.folder.glob(f"version=*/{HOUR}=*/{spool.stem}{PARQUET}"), *self.undecoded.glob(spool.name)]

    def read(self) -> tuple[list[Record], list[Path]]:
        """Return the records that are not compacted, and the Parquet files that hold all the others."""
        records: list[Record] = []
        present = set()
        for path in self.spools():
            try:
                records.extend(records_of(path))
            except FileNotFoundError:  # compacted meanwhile
                continue
            present.add(path.stem)
        parquets = [path for path in self.parquets() if path.stem not in present]
        for path in sorted(self.undecoded.glob(f"*{SUFFIX}")):
            if path.stem not in present:
                records.extend(records_of(path))
        return records, parquets


def records_of(path: Path) -> Iterator[Record]:
    """Yield the records of a spool file."""
    for frame in read_segment(path):
        yield from frame
