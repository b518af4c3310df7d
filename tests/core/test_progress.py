"""Stages reach who listens, and nobody else."""

from __future__ import annotations

import threading

import pytest

from nbmlops.core.progress import stage, stages


def test_without_a_listener_nothing_happens() -> None:
    stage("alone")


def test_the_innermost_listener_hears() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with stages(outer.append):
        stage("one")
        with stages(inner.append):
            stage("two")
        stage("three")
    stage("four")
    assert (outer, inner) == (["one", "three"], ["two"])


def test_an_error_ends_the_listening() -> None:
    heard: list[str] = []
    with pytest.raises(ZeroDivisionError), stages(heard.append):
        raise ZeroDivisionError
    stage("after")
    assert heard == []


def test_another_thread_is_not_heard() -> None:
    heard: list[str] = []
    with stages(heard.append):
        thread = threading.Thread(target=stage, args=["elsewhere"])
        thread.start()
        thread.join()
    assert heard == []
