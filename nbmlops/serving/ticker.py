"""What all connections of a server share: the clock, the ``Date`` header, memory set aside for bodies."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from time import monotonic
from typing import Protocol

LONGEST = 1.0  # seconds between two looks; the Date header tells seconds


class Timed(Protocol):
    """What is looked at: a connection."""

    def overdue(self) -> None:
        """Give up what takes too long."""
        ...


class Ticker:
    """Looks at all connections once in a while, which costs them nothing; a timer each would.

    Attributes
    ----------
    now : float, seconds
        Of the monotonic clock, as of the last look.
    date : bytes
        The ``Date`` header's value.
    held : int, bytes
        Of bodies that are being received or scored.
    interval : float, seconds
        Between two looks, at most `LONGEST`.
    """

    def __init__(self) -> None:
        self.now = monotonic()
        self.date = b""
        self.held = 0
        self.interval = LONGEST
        self._members: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, member: Timed) -> None:
        """Look at `member` from now on."""
        if self._timer is None:
            self._look()
            self._wait()
        self._members.add(member)

    def leave(self, member: Timed) -> None:
        """Look at it no more."""
        self._members.discard(member)

    def _tick(self) -> None:
        self._look()
        for member in list(self._members):
            member.overdue()
        self._timer = None
        if self._members:
            self._wait()

    def _look(self) -> None:
        self.now = monotonic()
        self.date = formatdate(usegmt=True).encode()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(self.interval, LONGEST), self._tick)
