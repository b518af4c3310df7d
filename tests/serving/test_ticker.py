from __future__ import annotations

import asyncio

from nbmlops.serving import ticker as module
from nbmlops.serving.application import Application
from nbmlops.serving.http import Connection
from nbmlops.serving.ticker import Ticker


def test_the_first_connection_after_a_long_quiet_is_not_taken_for_an_idle_one(monkeypatch):
    """The clock stands still while nobody is connected; the next one must not be measured by it."""
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)

    class Transport(asyncio.Transport):
        closed = False

        def close(self) -> None:
            self.closed = True

    async def main() -> tuple[bool, bool]:
        nonlocal now
        ticker, application, connections = Ticker(), Application(), set()
        now += 3600
        connection, transport = Connection(application, ticker, connections), Transport()
        connection.connection_made(transport)
        ticker._tick()
        fresh = transport.closed
        now += application.limits.idle_s + 1
        ticker._tick()
        idle = transport.closed
        connection.connection_lost(None)
        ticker._tick()
        return fresh, idle

    assert asyncio.run(main()) == (False, True)
