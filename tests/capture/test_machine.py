from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nbmlops.capture import capture_machine, machine


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    capture_machine.cache_clear()
    yield
    capture_machine.cache_clear()


def program(folder: Path, text: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/bash\n{text}\n")
    (folder / "nvidia-smi").chmod(0o755)


def test_it_says_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    found = capture_machine()
    assert found.os.startswith(os.uname().sysname)
    assert found.cpu
    assert found.cores == len(psutil.Process().cpu_affinity())
    assert found.memory_bytes == pytest.approx(psutil.virtual_memory().total, rel=0.01)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo 'Tesla T4'; echo 'Tesla T4'", ("Tesla T4", "Tesla T4")),
        ("echo 'NVIDIA-SMI has failed'; exit 9", ()),
        ("exec 3<>$(dirname $0)/pipe; read -t 5 -u 3; echo 'too late'", ()),
    ],
)
def test_graphics_processors_are_asked_for_with_little_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(machine, "_NVIDIA", tmp_path / "no driver")
    monkeypatch.setattr(machine, "_PATIENCE", 0.2 if "read" in text else 30)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    os.mkfifo(tmp_path / "pipe")
    program(tmp_path, text)
    assert capture_machine().gpus == expected


def test_the_drivers_own_files_answer_without_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t NVIDIA A100\nIRQ: 1\n")
    monkeypatch.setattr(machine, "_NVIDIA", tmp_path)
    monkeypatch.setenv("PATH", "")
    assert capture_machine().gpus == ("NVIDIA A100",)


def test_it_is_looked_at_once() -> None:
    assert capture_machine() is capture_machine()
