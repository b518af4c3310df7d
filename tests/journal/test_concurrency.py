"""Eight writers at once, killed at random: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import random
import selectors
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nbmlops.journal import Journal

WRITERS = 8
KILLS = 16
DEADLINE = 300.0  # seconds; each writer is a process of its own, and a busy machine starts them slowly
WRITER = """
import sys
from pathlib import Path
from nbmlops.journal import Journal
url, head, name = sys.argv[1:]
journal, number = Journal(url, Path(head)), 0
while True:
    event = journal.append("test.written", f"writer/{name}", {"number": number, "padding": "x" * (number % 50) ** 2})
    print(event.sequence, event.id, flush=True)
    number += 1
"""


@dataclass
class Writer:
    """A process that acknowledges each event on its output, after the append."""

    process: subprocess.Popen[bytes]
    patience: int
    received: bytearray = field(default_factory=bytearray)

    @property
    def acknowledged(self) -> list[tuple[int, str]]:
        whole = bytes(self.received).decode().split("\n")[:-1]  # a line without its end was not yet said
        return [(int(line.split()[0]), line.split()[1]) for line in whole]

    def is_due(self) -> bool:
        return self.received.count(b"\n") >= self.patience


def _start(url: str, head: Path, name: str, selector: selectors.BaseSelector, chance: random.Random) -> Writer:
    command = [sys.executable, "-c", WRITER, url, str(head), name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
    writer = Writer(process, chance.randint(0, 12))
    assert process.stdout is not None
    selector.register(process.stdout, selectors.EVENT_READ, writer)
    return writer


def _kill(writer: Writer, selector: selectors.BaseSelector) -> None:
    assert writer.process.stdout is not None
    writer.process.send_signal(signal.SIGKILL)
    writer.process.wait()
    selector.unregister(writer.process.stdout)
    writer.received += writer.process.stdout.read()
    writer.process.stdout.close()


@pytest.mark.integration
@pytest.mark.timeout(400)
def test_no_acknowledged_event_is_lost_or_doubled_when_writers_are_killed(journal_url: str, tmp_path: Path) -> None:
    head, chance = tmp_path / "journal.head", random.Random(20130101)
    deadline = time.monotonic() + DEADLINE
    with selectors.DefaultSelector() as selector:
        writers = [_start(journal_url, head, str(number), selector, chance) for number in range(WRITERS)]
        alive, kills = set(range(WRITERS)), 0
        try:
            while kills < KILLS:
                assert time.monotonic() < deadline, f"only {kills} writers came so far as to be killed"
                for key, _ in selector.select(timeout=1):
                    writer: Writer = key.data
                    received = writer.process.stdout.read(65536)  # type: ignore[union-attr]
                    assert received, "a writer ended by itself"
                    writer.received += received
                for place in [place for place in alive if writers[place].is_due()]:
                    _kill(writers[place], selector)
                    kills += 1
                    alive.remove(place)
                    if kills <= KILLS - WRITERS:
                        alive.add(len(writers))
                        writers.append(_start(journal_url, head, str(len(writers)), selector, chance))
        finally:
            for place in alive:
                _kill(writers[place], selector)
    _check(Journal(journal_url, head), writers)


def _check(journal: Journal, writers: list[Writer]) -> None:
    verification = journal.verify()
    assert verification.ok, verification.problems
    events = journal.events()
    acknowledged = [one for writer in writers for one in writer.acknowledged]
    assert len(acknowledged) >= KILLS
    assert set(acknowledged) <= {(event.sequence, event.id) for event in events}
    written = Counter((event.subject, event.data["number"]) for event in events)
    assert set(written.values()) == {1}
    # A kill between the commit and the word of it leaves one event that nobody heard of, never more.
    assert len(events) - len(acknowledged) <= len(writers)
    assert journal.append("test.written", "writer/after").sequence == verification.length + 1
