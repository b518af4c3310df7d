"""When an endpoint ends by itself."""

from __future__ import annotations

from dataclasses import replace

from nbmlops.deployment.progressive import Progressive
from nbmlops.deployment.spec import EndpointSpec
from nbmlops.deployment.supervision import has_idled
from tests.deployment.conftest import an_arm


def test_an_endpoint_ends_when_nobody_calls_it_unless_a_rollout_holds_it_open() -> None:
    spec = EndpointSpec("flights", "offset", (an_arm("1", 95.0), an_arm("2", 5.0)), idle_hours=0.5)
    assert not has_idled(spec, 1800.0)
    assert has_idled(spec, 1800.1)
    assert not has_idled(replace(spec, progressive=Progressive("2", (5.0, 50.0), 86400.0)), 1e6)
