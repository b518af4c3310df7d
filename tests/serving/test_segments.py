from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbmlops.serving import segments
from nbmlops.serving.segments import Record, Segment, frame_of, read_segment

from .spools import record

TEXT = st.text(max_size=20)
SIZE = st.integers(0, 2**40)
RECORDS = st.builds(
    Record,
    prediction=TEXT,
    time_ns=st.integers(0, 2**63 - 1),
    arm=TEXT,
    version=TEXT,
    bundle=TEXT,
    wire=TEXT,
    kind=TEXT,
    body=st.binary(max_size=200),
    answer=st.binary(max_size=200),
    latency_s=st.floats(allow_nan=False),
    status=st.integers(100, 599),
    key=TEXT,
    shadow=st.booleans(),
    split=SIZE,
    answer_split=SIZE,
)


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=5), max_size=5), st.data())
def test_what_was_written_is_read_and_a_file_cut_anywhere_gives_its_whole_frames(frames, data):
    with tempfile.TemporaryDirectory() as place:
        segment = Segment(Path(place) / "collected" / "endpoint", "scorer")
        ends = [segment.size]
        for frame in frames:
            segment.append(frame_of(frame))
            ends.append(segment.size)
        assert list(read_segment(segment.path)) == frames
        cut = data.draw(st.integers(0, segment.size))
        os.truncate(segment.path, cut)
        whole = sum(end <= cut for end in ends[1:])
        assert list(read_segment(segment.path)) == frames[:whole]
        segment.close()


def test_a_damaged_frame_and_what_a_power_cut_leaves_end_the_file(tmp_path):
    segment = Segment(tmp_path / "a" / "b", "scorer")
    segment.append(frame_of([record(1)]))
    first = segment.size
    segment.append(frame_of([record(2)]))
    content = bytearray(segment.path.read_bytes())
    segment.path.write_bytes(bytes(content[:first]) + bytes(500))
    assert list(read_segment(segment.path)) == [[record(1)]]
    content[-1] ^= 1
    segment.path.write_bytes(content)
    assert list(read_segment(segment.path)) == [[record(1)]]
    segment.close()


def test_another_format_is_refused(tmp_path):
    path = tmp_path / f"x{segments.SUFFIX}"
    path.write_bytes(b"nbspool\x02" + frame_of([record(1)]))
    with pytest.raises(ValueError, match="no spool file of a format"):
        list(read_segment(path))


def test_a_file_is_locked_while_it_is_written_and_private(tmp_path):
    segment = Segment(tmp_path / "collected" / "e", "scorer")
    segment.append(frame_of([record(1)]))
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.parent.stat().st_mode & 0o777 == 0o700
    with segment.path.open() as stream:
        with pytest.raises(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        segment.close()
        fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_file_without_a_record_leaves_nothing(tmp_path):
    Segment(tmp_path / "collected" / "e", "scorer").close()
    assert list((tmp_path / "collected" / "e").iterdir()) == []


def test_a_write_that_fails_half_way_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    segment = Segment(tmp_path / "collected" / "e", "scorer")
    segment.append(frame_of([record(1)]))
    write = os.write
    calls = []

    def full(descriptor, content):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:10])

    monkeypatch.setattr(segments.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        segment.append(frame_of([record(2)]))
    monkeypatch.undo()
    assert segment.path.stat().st_size == segment.size
    assert list(read_segment(segment.path)) == [[record(1)]]
    segment.close()
