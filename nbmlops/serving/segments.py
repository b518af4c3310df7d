"""Spool files: what a scorer keeps of its traffic, as frames that are whole or not there.

A file begins with eight bytes that tell its format. Each commit is one frame: the length of its content and the CRC-32
of it (four bytes each, little-endian), then the content, a MessagePack list of records. A process that is killed, or a
disk that is full, leaves at most one frame cut short, at the end: whoever reads stops there.

A file is locked (``flock``) by the process that writes it, so that a file without a lock is finished, however its
writer ended.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

MAGIC = b"nbspool\x01"
SUFFIX = ".spool"
UNREADY = ".new"  # a file gets its name once it is locked and has its first bytes
_HEADER = struct.Struct("<II")
_COUNT, _LIST = struct.Struct(">BI"), 0xDD  # MessagePack's list of up to 2**32 items
UNFIT = (TypeError, ValueError, OverflowError, NotImplementedError, msgspec.MsgspecError)
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the latter alone


class Record(msgspec.Struct, array_like=True, gc=False):
    """One answered request, as its raw frames.

    Attributes
    ----------
    prediction : str
        The prediction id.
    time_ns : int, nanoseconds
        Wall-clock time of the request since the epoch.
    arm, version : str
        Which arm answered, and its model's version.
    bundle : str
        Digest of the bundle that answered; it holds the signature with which the frames are read again.
    wire : str
        The protocol: ``mlflow`` or ``oip``; ``columns`` where the request was decoded and columns were left out.
    kind : str
        The request's content type.
    body, answer : bytes
        The bodies of the request and of its answer. Both are empty where they were too large to keep.
    latency_s : float, seconds
    status : int
        HTTP status of the answer.
    key : str
        Digest of the sticky key; never the key itself.
    shadow : bool
        Whether no caller saw the answer.
    split, answer_split : int, bytes
        Length of the JSON document at the beginning of a body where binary tensors follow it; 0 where none do.
    data, names : object, tuple of str
        The decoded request and its columns' names, given where columns are left out. They are never written.
    """

    prediction: str
    time_ns: int
    arm: str
    version: str
    bundle: str
    wire: str
    kind: str
    body: bytes
    answer: bytes
    latency_s: float
    status: int = 200
    key: str = ""
    shadow: bool = False
    split: int = 0
    answer_split: int = 0
    data: Any = None
    names: tuple[str, ...] = ()


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Record])


class Frame:
    """A frame that grows: a record is encoded when it is added, so that nothing of its request is kept alive.

    Attributes
    ----------
    records : int
    """

    def __init__(self) -> None:
        self.records = 0
        self._bytes = bytearray(_HEADER.size + _COUNT.size)

    def add(self, record: Record) -> None:
        """Encode one more record.

        Raises
        ------
        TypeError, ValueError, OverflowError
            It holds what MessagePack can't; the frame is as before.
        """
        size = len(self._bytes)
        try:
            _ENCODER.encode_into(record, self._bytes, -1)
        except UNFIT:
            del self._bytes[size:]
            raise
        self.records += 1

    def whole(self) -> bytearray:
        """Return the frame as it is written, with its length, checksum and number of records."""
        _COUNT.pack_into(self._bytes, _HEADER.size, _LIST, self.records)
        with memoryview(self._bytes) as view, view[_HEADER.size :] as content:
            _HEADER.pack_into(self._bytes, 0, len(content), zlib.crc32(content))
        return self._bytes


def frame_of(records: Iterable[Record]) -> bytearray:
    """Return the frame that holds `records`, or raise what `Frame.add` raises."""
    frame = Frame()
    for record in records:
        frame.add(record)
    return frame.whole()


class Segment:
    """A spool file that is being written.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing, with the one above it; what lies further up has to be there.
    name : str
        What the file's name begins with.

    Attributes
    ----------
    size : int, bytes
        What is committed.
    opened : float, seconds
        Monotonic time at which the file was made.

    Raises
    ------
    OSError
    """

    def __init__(self, folder: Path, name: str) -> None:
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, exist_ok=True)
        final = folder / f"{name}-{time.time_ns():020d}-{secrets.token_hex(4)}{SUFFIX}"
        self.path = final.with_name(final.name + UNREADY)
        self.opened = time.monotonic()
        self.size = 0
        self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.append(MAGIC)
            self.path = self.path.rename(final)
            _sync_folder(folder)
        except OSError:
            self.close()
            raise

    def append(self, content: bytes | bytearray) -> None:
        """Write `content` and wait until it is on the disk.

        Raises
        ------
        OSError
            It isn't; then nothing of it is in the file, and the file is to be closed.
        """
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._descriptor, view) :]
            _sync(self._descriptor)
            if os.fstat(self._descriptor).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "the spool file was deleted")
        except OSError:
            # A full disk takes part of a frame. Where the file can't be cut either, readers stop at that part.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(content)

    def close(self) -> None:
        """Let go of the file, which marks it as finished; one that holds no record is removed."""
        with contextlib.suppress(OSError):
            if self.size <= len(MAGIC):
                self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    """Make sure that a new file's name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_segment(path: Path) -> Iterator[list[Record]]:
    """Yield the records of each whole frame of a spool file, also while it is being written.

    Raises
    ------
    ValueError
        It is no spool file of a known format.
    OSError
    """
    with path.open("rb") as stream:
        magic = stream.read(len(MAGIC))
        if magic != MAGIC[: len(magic)]:
            raise ValueError(f"{path.name} is no spool file of a format that this version reads")
        while len(header := stream.read(_HEADER.size)) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            content = stream.read(length)
            # Zeros are what a file system may leave of a file that was growing when the power went.
            if not length or len(content) < length or zlib.crc32(content) != checksum:
                return
            yield _DECODER.decode(content)
