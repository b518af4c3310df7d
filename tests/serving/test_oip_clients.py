"""The clients of other servers, as their users install them from PyPI, against a live scorer."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from . import bundles, processes
from .oip_clients import ROWS

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-clients/bin/python"
PATIENCE = 180.0  # seconds; MLServer alone imports for several
TOKEN = "a-token-of-the-test"
pytestmark = pytest.mark.integration
LABELS = bundles.fitted().predict(pd.DataFrame(ROWS)).tolist()
PROBABILITIES = bundles.fitted().predict_proba(pd.DataFrame(ROWS))


@pytest.fixture(scope="module")
def url(made) -> Iterator[str]:
    if not PYTHON.exists():
        reason = "the clients of other servers are not installed (make clients)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    arm = {"name": "1", "model": "flights", "bundle": str(made("onnx"))}
    with processes.listening() as (listener, address), processes.scorer(listener) as scorer:
        config = {**processes.config(arm, token=TOKEN), "endpoint": "flights"}
        assert scorer.order(op="configure", config=config)["ok"]
        yield address
        assert scorer.end() == 0


def call(client: str, url: str) -> dict[str, Any]:
    command = [str(PYTHON), str(Path(__file__).with_name("oip_clients.py")), client, url, TOKEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_right(predict: Any, predict_proba: Any) -> None:
    assert predict == LABELS
    np.testing.assert_allclose(predict_proba, PROBABILITIES, atol=1e-6)


def test_triton(url: str) -> None:
    found = call("triton", url)
    assert [found[name] for name in ("live", "ready", "model ready", "version ready")] == [True] * 4
    assert found["server"]["name"] == "nbmlops"
    assert [tensor["name"] for tensor in found["model"]["inputs"]] == list(ROWS)
    assert [entry["state"] for entry in found["index"]] == ["READY"]
    for sent in (True, False):
        for got in (True, False):
            answer = found[f"sent {sent}, got {got}"]
            assert answer["response"] == {"id": "mine", "model_name": "flights", "model_version": "1"}
            assert answer["dtypes"] == ["<i8", "<f8"]
            assert_right(answer["predict"], answer["predict_proba"])
    assert_right(*found["all"])
    assert found["async"] == LABELS
    assert found["other input"]["status"] == "422"
    assert "did you mean 'distance'" in found["other input"]["message"]
    assert found["other model"]["status"] == "404"
    assert "no version '9'" in found["other model"]["message"]
    assert found["no token"]["status"] == "401"


def test_kserve(url: str) -> None:
    found = call("kserve", url)
    assert [found[name] for name in ("live", "ready", "model ready", "other model ready")] == [True, True, True, False]
    for sent in (True, False):
        for got in (True, False):
            answer = found[f"sent {sent}, got {got}"]
            assert (answer["id"], answer["model_name"]) == ("mine", "flights")
            assert_right(answer["outputs"]["predict"], answer["outputs"]["predict_proba"])
    assert "there is no model 'other'" in found["other model"]


def test_mlserver(url: str) -> None:
    found = call("mlserver", url)
    assert found["server"] == "nbmlops"
    assert [tensor["name"] for tensor in found["model"]["inputs"]] == list(ROWS)
    assert (found["pandas"]["id"], found["pandas"]["version"]) == ("mine", "1")
    assert_right(**found["pandas"]["outputs"])
    assert found["frame"] == {"predict": LABELS}
    assert found["numpy"] == LABELS
    assert "one input or more" in found["refused"]
    assert [line["outputs"][0]["data"] for line in found["batch"]] == [LABELS] * 3
