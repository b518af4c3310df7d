"""schemathesis makes requests from the OpenAPI document, right ones and wrong ones, and looks at what comes back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from .processes import listening, scorer

TOKEN = "schemathesis-token"
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "missing_required_header",
    "unsupported_method", "ignored_auth",
)  # fmt: skip
EXAMPLES = 25


@pytest.fixture(scope="module")
def live():
    with listening() as (listener, url), scorer(listener) as process:
        yield process, url


@pytest.mark.integration
@pytest.mark.parametrize("model", ["mixed", "tensor", "generic"])
def test_it_finds_nothing_to_complain_about(live, made, tmp_path, model):
    process, url = live
    arm = {"name": "1", "model": model, "version": "1", "bundle": str(made(model))}
    assert process.order(op="configure", config={"endpoint": model, "token": TOKEN, "arms": [arm]})["ok"]
    command = [
        Path(sys.executable).with_name("schemathesis"), "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {TOKEN}",
        "--checks", ",".join(CHECKS),
        "--phases", "examples,coverage,fuzzing",
        "--max-examples", str(EXAMPLES),
        "--seed", "1", "--generation-deterministic",
        "--request-timeout", "60",
        "--no-color",
    ]  # fmt: skip
    environment = {**os.environ, "NO_PROXY": "*", "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "examples")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    warnings = re.findall("⚠️ (.*)", done.stdout)
    assert all("application/octet-stream" in warning for warning in warnings), "it can't read binary tensors, no more"
    assert warnings or "No issues found" in done.stdout
    headers = {"Authorization": f"Bearer {TOKEN}"}
    described = requests.get(f"{url}/openapi.json", headers=headers, timeout=60).json()["paths"]
    (tested,) = re.findall(r"Tested: (\d+)", done.stdout)
    # It takes the document's own path out, which it has read already.
    assert int(tested) == sum(len(operations) for operations in described.values()) - 1
