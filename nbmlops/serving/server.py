"""uvicorn, set up to serve one application on one socket and to be ended from within."""

from __future__ import annotations

import socket

import uvicorn

from .application import Application


def make_server(application: Application) -> uvicorn.Server:
    """Return a server: uvloop, httptools, no access log, no trust in proxies' headers."""
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=30,
    )
    return uvicorn.Server(config)


def inherited(descriptor: int) -> socket.socket:
    """Return the listening socket that the parent process left open at `descriptor`."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener
