"""A capture that begins to fail is told once, and so is its recovery."""

from __future__ import annotations

from nbmlops.deployment.capturing import Capturing


def figures(*captures: dict | None) -> dict:
    return {place: {"pid": place, "capture": capture} for place, capture in enumerate(captures)}


def kept(committed: int = 0, dropped: int = 0, failing: str = "") -> dict:
    return {"committed": committed, "dropped": dropped, "failing": failing}


def test_a_failure_and_a_recovery_are_each_told_once() -> None:
    capturing, told = Capturing(), []
    for failing in ("", "no space left", "no space left", "", ""):
        told += capturing.take(figures(kept(1), kept(2, failing=failing)))
    assert [notice.type for notice in told] == ["endpoint.capture_failing", "endpoint.capture_recovered"]
    assert "no space left" in told[0].because
    assert "no space left" in told[1].because


def test_a_scorer_that_says_nothing_is_no_recovery() -> None:
    capturing = Capturing()
    capturing.take(figures(kept(failing="no space left")))
    assert capturing.take({}) == ()
    assert capturing.state()["failing"] == "no space left"
    (notice,) = capturing.take(figures(kept(5)))
    assert notice.type == "endpoint.capture_recovered"


def test_what_gone_scorers_committed_still_counts() -> None:
    capturing = Capturing()
    assert capturing.state() == {}
    capturing.take({0: {"pid": 1, "capture": kept(100, 2)}})
    capturing.take({0: {"pid": 2, "capture": kept(10, 1)}})
    assert capturing.state() == {"committed": 110, "dropped": 3, "failing": ""}
    capturing.take(figures(None))
