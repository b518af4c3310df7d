"""uvicorn, set up to serve one application on one socket with our protocol, and to be ended from within."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

from .application import Application
from .asgi import Asgi
from .http import Connection
from .ticker import Ticker


def make_server(application: Application) -> uvicorn.Server:
    """Return a server: uvloop, httptools, no access log, no trust in proxies' headers."""
    ticker = Ticker()

    class Protocol(Connection):
        def __init__(self, *, server_state: Any, **_: Any) -> None:
            ticker.interval = min(application.limits.read_s, application.limits.idle_s) / 4
            super().__init__(application, ticker, server_state.connections)

    config = uvicorn.Config(
        Asgi(application),
        loop="uvloop",
        http=Protocol,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    return uvicorn.Server(config)


def inherited(descriptor: int) -> socket.socket:
    """Return the listening socket that the parent process left open at `descriptor`."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener
