"""The listening socket: on this machine alone, and at the same port as before where it can be."""

from __future__ import annotations

import pytest

from nbmlops.deployment.listener import FIRST_PORT, PORTS, PortInUse, listen


def test_it_listens_on_the_loopback_alone_and_prefers_its_port() -> None:
    with listen(None, "a") as first:
        host, port = first.getsockname()
        assert host == "127.0.0.1"
        assert FIRST_PORT <= port < FIRST_PORT + PORTS
        with listen(None, "a") as second:
            assert second.getsockname()[1] != port
    with listen(None, "a") as again:
        assert again.getsockname()[1] == port


def test_a_given_port_is_taken_or_refused() -> None:
    with listen(None, "b") as first:
        with pytest.raises(PortInUse) as caught:
            listen(first.getsockname()[1], "b")
        assert caught.value.port == first.getsockname()[1]
