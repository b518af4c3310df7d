from __future__ import annotations

import pytest

from nbmlops.testing import rollouts
from nbmlops.testing.rollouts import Version


@pytest.mark.parametrize(
    "bad", [Version(error_rate=0.05), Version(latency_s=0.025), Version(classes=(0.3, 0.6, 0.1)), Version()]
)
def test_looks_that_are_left_out_would_have_tripped_nothing(bad, monkeypatch):
    options = {"share": 0.2, "requests": 4000, "runs": 8}
    found = rollouts.rollouts(Version(), bad, **options)
    monkeypatch.setattr(rollouts, "_suspicious", lambda champion, *_, **__: range(len(champion.requests)))
    assert rollouts.rollouts(Version(), bad, **options) == found
    assert any(outcome.requests for outcome in found) == (bad != Version())


def test_a_rollout_is_the_same_each_time_and_each_is_another():
    options = {"share": 0.5, "requests": 2000, "runs": 5}
    outcomes = rollouts.rollouts(Version(), Version(error_rate=0.2), **options)
    assert outcomes == rollouts.rollouts(Version(), Version(error_rate=0.2), **options)
    assert len({outcome.verdicts for outcome in outcomes}) == 5
