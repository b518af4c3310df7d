"""What a graph is computed on: said, and never another than the one that the bundle names."""

from __future__ import annotations

import json
import subprocess
import sys

import onnxruntime
import pytest

from nbmlops.serving.bundle import read_bundle
from nbmlops.serving.errors import ServingError
from nbmlops.serving.runtimes import make_runtime
from nbmlops.serving.runtimes.providers import available

from . import bundles

CUDA = "CUDAExecutionProvider"
MISSING = f"as it is installed here has no {CUDA}; available here: CPUExecutionProvider"


def provider_of(served):
    return served.get("/version").json["arms"][0]["provider"]


def test_the_server_says_what_it_computes_on(served, made):
    served.configure(("1", made("onnx"), 100))
    assert provider_of(served) == "CPUExecutionProvider"
    assert b'provider="CPUExecutionProvider"' in served.get("/metrics").body
    served.configure(("1", made("skops"), 100))
    assert provider_of(served) == "", "scikit-learn has none"
    assert b"provider=" not in served.get("/metrics").body


def test_a_bundle_for_a_provider_that_is_not_here_is_not_served(tmp_path):
    path = bundles.onnx_bundle(tmp_path, provider=CUDA)
    with pytest.raises(ServingError, match=MISSING) as caught:
        make_runtime(read_bundle(path))
    assert caught.value.code == "provider_unavailable"


@pytest.mark.integration
def test_its_worker_says_so_and_ends(tmp_path):
    path = bundles.onnx_bundle(tmp_path / "bundle", provider=CUDA)
    command = [sys.executable, "-m", "nbmlops.serving.worker", "--bundle", str(path), "--socket", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    said = json.loads(done.stdout)
    assert (done.returncode, said["ready"], said["code"]) == (1, False, "provider_unavailable")
    assert MISSING in said["error"]


def test_a_provider_that_falls_back_to_the_cpu_is_not_served(tmp_path, monkeypatch):
    class FallsBack:
        def __init__(self, model, options, providers):
            assert providers == [CUDA]

        def get_providers(self):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", FallsBack)
    with pytest.raises(ServingError, match=f"{CUDA} could not start, and ONNX Runtime fell back to CPUExec"):
        make_runtime(read_bundle(bundles.onnx_bundle(tmp_path, provider=CUDA)))


def test_a_provider_that_computes_elsewhere_does_not_count_as_here(monkeypatch):
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["AzureExecutionProvider", "CPUExecutionProvider"]
    )
    assert available() == ("CPUExecutionProvider",)
