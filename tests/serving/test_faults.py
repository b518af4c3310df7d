from __future__ import annotations

from nbmlops.serving import faults
from nbmlops.serving.faults import FaultLog


def test_the_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(faults, "MAX_BYTES", 10_000)
    path = tmp_path / "errors.log"
    log = FaultLog(str(path))
    for number in range(100):
        log.write(f"id-{number}", "3", "x" * 1000)
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 25_000
    assert "id-99" in path.read_text()
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_a_long_traceback_is_cut_to_its_end(tmp_path):
    log = FaultLog(str(tmp_path / "errors.log"))
    log.write("id", "3", "begin" + "x" * 100_000 + "end")
    text = (tmp_path / "errors.log").read_text()
    assert "end" in text
    assert "begin" not in text
    assert len(text) < 30_000


def test_without_a_file_it_goes_to_stderr(capsys):
    FaultLog(None).write("id", "3", "what happened")
    assert "what happened" in capsys.readouterr().err


def test_a_file_that_can_not_be_written_stops_nothing(tmp_path, capsys):
    log = FaultLog(str(tmp_path / "missing" / "errors.log"))
    log.write("id", "3", "what happened")
    assert "what happened" in capsys.readouterr().err
