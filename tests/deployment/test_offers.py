"""An endpoint's verbs that rooms above offer, on a real endpoint."""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint

import pandas as pd
import pytest

from nbmlops.core.errors import NotFound
from nbmlops.core.workspace import Workspace
from nbmlops.deployment import LocalTarget, endpoint
from nbmlops.deployment.offers import offered
from nbmlops.deployment.spec import Capture
from nbmlops.journal import Journal
from nbmlops.testing.models import offset_onnx, offset_pickled
from tests.deployment.conftest import PATIENCE, deploy


def test_an_old_installation_says_what_to_do(monkeypatch):
    entry = EntryPoint("other", "builtins:len", "nbmlops.endpoint")
    monkeypatch.setattr(
        "nbmlops.deployment.offers.entry_points", lambda group, name: [entry] if name == "other" else []
    )
    assert offered.__wrapped__("other") is len
    with pytest.raises(NotFound, match=r"no 'collected' on endpoints.*install nbmlops again"):
        offered.__wrapped__("collected")


def rows_of(one, count: int, **how) -> pd.DataFrame:
    deadline = time.monotonic() + PATIENCE
    while True:
        frame = one.collected(**how)
        if len(frame) >= count or time.monotonic() > deadline:
            return frame
        time.sleep(0.02)


@pytest.mark.integration
@pytest.mark.parametrize(("mode", "make"), [("on", offset_onnx), ("strict", offset_pickled)])
def test_what_was_sent_is_there_with_its_answer_also_when_the_endpoint_is_gone(
    target: LocalTarget, workspace: Workspace, journal: Journal, mode, make
) -> None:
    deploy(target, make(workspace, "1", 10.0), capture=Capture(mode))
    one = endpoint(workspace, journal, "flights")
    one.predict(pd.DataFrame({"x": [1.0, 2.5]}))
    one.predict([{"x": 4.0}])
    frame = one.collected() if mode == "strict" else rows_of(one, 3)
    assert frame["x"].tolist() == [1.0, 2.5, 4.0]
    assert frame["prediction"].tolist() == [11.0, 12.5, 14.0]
    assert set(frame["version"]) == {"1"}
    assert frame.attrs["undecoded"] == 0
    assert list(one.collected(columns=["x"])) == ["prediction_id", "time", "x", "prediction"]
    one.delete()
    assert one.collected()["x"].tolist() == [1.0, 2.5, 4.0]
