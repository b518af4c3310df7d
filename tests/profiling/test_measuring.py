"""Profiles of the real server, started from a bundle."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from nbmlops import deployment
from nbmlops.conversion import convert
from nbmlops.core.errors import EndpointError, InvalidInput
from nbmlops.packaging import Bundle, build_bundle
from nbmlops.profiling import ProfileReport, measuring, profile
from nbmlops.profiling.usage import MIB
from nbmlops.registry import Reference
from nbmlops.registry.signature import columns_of
from tests.packaging.conftest import Models


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"wind": np.arange(50.0), "hour": np.arange(50) % 24})


@pytest.fixture
def bundle(rows, workspace, tmp_path) -> Bundle:
    """The bundle of a small converted model."""
    model = LogisticRegression().fit(rows, rows.wind > 20)
    signature = {"inputs": columns_of(rows), "outputs": None, "task": "classification", "classes": None}
    reference = Reference(rows, model.predict(rows), model.predict_proba(rows), [False, True])
    report = convert(model, signature, reference)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {}}))
    models = Models(folder, signature, {"environment": {}})
    return build_bundle(models, "flights/1", onnx=report.onnx, workspace=workspace)


@pytest.fixture
def watched(monkeypatch):
    """Let the test see the server that a profile starts."""
    seen, trial = [], deployment.trial

    @contextmanager
    def watching(bundle):
        with trial(bundle) as server:
            seen.append(server)
            yield server

    monkeypatch.setattr(deployment, "trial", watching, raising=False)
    return seen


def on_level(monkeypatch, number, act):
    """Do something while the server is under the load of a level (0 is the warm-up)."""
    drive, count = measuring.drive, iter(range(100))

    def driving(*arguments, **options):
        if next(count) == number:
            act()
        return drive(*arguments, **options)

    monkeypatch.setattr(measuring, "drive", driving)


@pytest.mark.integration
def test_the_real_server_is_measured(bundle, rows, watched, monkeypatch):
    outside = []

    def look():
        outside.append(sum(psutil.Process(pid).memory_info().rss for pid in watched[0].pids) / MIB)

    on_level(monkeypatch, 2, look)
    report = profile(bundle, rows, levels=(4, 1), seconds=0.3)
    assert [level.concurrency for level in report.levels] == [1, 4]
    for level in report.levels:
        assert level.requests > 10
        assert level.errors == 0
        assert 0 < level.p50_ms <= level.p95_ms <= level.p99_ms
        assert 0 < level.cpu_s_per_1k < 1000 * level.cores / level.rps * 1.01
    assert report.idle_rss_mib <= report.peak_rss_mib
    assert report.peak_rss_mib == pytest.approx(outside[0], rel=0.15)
    assert (report.runtime, report.rows) == ("onnx", 50)
    assert report.recommendation.memory_mib >= report.peak_rss_mib
    assert ProfileReport.from_dict(report.to_dict()) == report
    assert not any(psutil.pid_exists(pid) for pid in (watched[0].supervisor,))


@pytest.mark.integration
def test_a_reference_is_taken_as_its_rows(bundle, rows):
    reference = Reference(rows, np.zeros(50), None, None)
    assert profile(bundle, reference, levels=(1,), seconds=0.1).rows == 50


@pytest.mark.integration
def test_a_process_that_ends_under_load_is_an_error(bundle, rows, watched, monkeypatch):
    on_level(monkeypatch, 1, lambda: os.kill(watched[0].pids[0], signal.SIGKILL))
    with pytest.raises(EndpointError, match="ended under load"):
        profile(bundle, rows, levels=(2,), seconds=0.3)


@pytest.mark.integration
def test_rows_that_the_server_refuses_are_told_once_and_not_counted(bundle, rows):
    with pytest.raises(InvalidInput, match=r"first row \(422\).*'wind'"):
        profile(bundle, rows.assign(wind="strong"), levels=(1,), seconds=0.1)


@pytest.mark.parametrize("wrong", [{"levels": ()}, {"levels": (0,)}, {"seconds": 0.0}])
def test_levels_and_seconds_are_positive(bundle, rows, wrong):
    with pytest.raises(InvalidInput, match="positive"):
        profile(bundle, rows, **wrong)


def test_a_level_without_an_answer_has_no_cost():
    from nbmlops.profiling.load import Measured

    level = measuring._level(Measured(8, 2.0, 0, {"429": 9, "timed out": 1}, 0.0, 0.0, 0.0, 0.0), 1.0)
    assert (level.errors, level.cpu_s_per_1k, level.cores) == (10, 0.0, 0.5)
    with pytest.raises(EndpointError, match="429, timed out"):
        measuring._report([level], 1.0, measuring.Peak(1.0), runtime="onnx", rows=1, seconds=2.0)
