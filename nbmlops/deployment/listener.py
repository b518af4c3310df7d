"""The socket that an endpoint listens on: 127.0.0.1 alone, its port kept for the endpoint's life."""

from __future__ import annotations

import errno
import socket
import zlib
from collections.abc import Iterator

HOST = "127.0.0.1"
FIRST_PORT, PORTS, TRIES = 20000, 10000, 20  # below the range that systems give to outgoing connections
BACKLOG = 2048


class PortInUse(Exception):
    """Another process listens there.

    Attributes
    ----------
    port : int
    """

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port


def listen(port: int | None, key: str) -> socket.socket:
    """Return a listening socket.

    Parameters
    ----------
    port : int or None
        None tries ports that depend on `key`, so that an endpoint deployed anew mostly has the address it had.

    Raises
    ------
    PortInUse
        When `port` is given and taken.
    """
    if port is not None:
        return _bind(port)
    for candidate in _candidates(key):
        try:
            return _bind(candidate)
        except PortInUse:
            continue
    return _bind(0)


def _candidates(key: str) -> Iterator[int]:
    first = zlib.crc32(key.encode())
    return (FIRST_PORT + (first + step) % PORTS for step in range(TRIES))


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from error
        raise
    listener.setblocking(False)
    return listener
