"""One line tells what a long verb is doing, and where the time went."""

from __future__ import annotations

from typing import Any

import pytest

from nbmlops.core.display import Html
from nbmlops.notebook import stage_line
from nbmlops.notebook.stage_line import StageLine
from nbmlops.testing.shell import Notebook


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stage_line, "time", clock)
    return clock


def test_the_line_tells_what_is_done_and_what_runs(clock: Clock) -> None:
    shown: list[Html] = []
    line = StageLine(shown.append)
    line.announce("capturing")
    clock.now = 1.25
    line.announce("writing <model>")
    clock.now = 3.25
    line.end(failed=False)
    assert [one.text for one in shown] == [
        "capturing …",
        "capturing 1.2 s · writing <model> …",
        "capturing 1.2 s · writing <model> 2.0 s",
    ]
    assert "<model>" not in shown[-1].html


def test_a_stage_that_comes_back_is_told_once_and_a_short_one_not_at_all(clock: Clock) -> None:
    shown: list[Html] = []
    line = StageLine(shown.append)
    for text, seconds in (("writing", 1.0), ("checking", 0.01), ("writing", 2.0)):
        line.announce(text)
        clock.now += seconds
    line.end(failed=False)
    assert shown[-1].text == "writing 3.0 s"


def test_what_took_no_time_leaves_no_line(clock: Clock) -> None:
    shown: list[Html] = []
    line = StageLine(shown.append)
    line.announce("looking")
    line.end(failed=False)
    assert shown[-1].text == ""


def test_nothing_announced_shows_nothing(clock: Clock) -> None:
    shown: list[Html] = []
    StageLine(shown.append).end(failed=False)
    assert shown == []


def test_a_failure_names_the_stage(clock: Clock) -> None:
    shown: list[Html] = []
    line = StageLine(shown.append)
    line.announce("capturing")
    clock.now = 2.0
    line.announce("starting")
    line.end(failed=True)
    assert shown[-1].text == "capturing 2.0 s · stopped while starting"


def test_a_terminal_gets_lines_on_stderr(cells: Notebook) -> None:
    cells.run("model = 1")
    assert cells.run("%probe model").stderr.startswith("probing …")


def test_a_kernel_gets_one_display_that_is_updated(cells: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[dict[str, Any], bool]] = []

    def publish(data: dict[str, Any], *args: Any, update: bool = False, **kwargs: Any) -> None:
        sent.append((data, update))

    monkeypatch.setattr(cells.shell, "kernel", object(), raising=False)
    monkeypatch.setattr(cells.shell.display_pub, "publish", publish)
    cells.names["model"] = 1
    cells.shell.run_line_magic("probe", "model")
    assert [update for _, update in sent] == [False, True]
    assert "probing …" in sent[0][0]["text/html"]
