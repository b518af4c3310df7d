"""The folder of an endpoint: its token, its log, its lock."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nbmlops.core.errors import Corrupt
from nbmlops.deployment.folder import RunFolder, take_lock, write_json

HOLDER = """
import sys, pathlib
from nbmlops.deployment.folder import take_lock
print(take_lock(pathlib.Path(sys.argv[1]), 0.0), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "flights")
    made.create()
    return made


def test_folder_and_token_are_private_and_the_token_stays(folder: RunFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.token.stat().st_mode) == 0o600
    token = folder.token.read_text()
    folder.create()
    assert folder.token.read_text() == token
    assert len(token) >= 43


def test_it_is_alive_while_another_process_holds_the_lock(folder: RunFolder) -> None:
    assert not folder.alive()
    command = [sys.executable, "-c", HOLDER, str(folder.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        assert folder.alive()
        assert folder.alive()
        assert not take_lock(folder.lock, 0.0)
        holder.kill()
        holder.wait()
    assert not folder.alive()


def test_a_half_written_file_is_said(folder: RunFolder) -> None:
    folder.state.write_text('{"pid": 1')
    with pytest.raises(Corrupt, match=r"state\.json is no JSON"):
        folder.read(folder.state)
    folder.state.write_text("[]")
    with pytest.raises(Corrupt, match="holds no JSON object"):
        folder.read(folder.state)
    assert folder.read(folder.spec) == {}


def test_files_are_replaced_whole_and_privately(folder: RunFolder) -> None:
    write_json(folder.state, {"pid": 1})
    write_json(folder.state, {"pid": 2})
    assert folder.read(folder.state) == {"pid": 2}
    assert stat.S_IMODE(folder.state.stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.path.iterdir()) == ["state.json", "token"]


def test_the_last_lines_cross_a_rotation(folder: RunFolder) -> None:
    folder.path.joinpath("endpoint.log.1").write_text("one\ntwo\n")
    folder.log.write_text("three\n")
    folder.stderr.write_text("Traceback\n")
    assert folder.last_lines(3) == ["two", "three", "Traceback"]
    assert RunFolder(folder.path / "none").last_lines(3) == []
