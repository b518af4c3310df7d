"""A torch module: in ONNX it says the same, and an endpoint answers what the module answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import nbmlops
from nbmlops.conversion import convert
from nbmlops.conversion.torch_module import TorchConverter
from nbmlops.core.errors import InvalidObject
from nbmlops.registry.preparing import answered
from nbmlops.testing.converters import check_converter

ROWS = np.random.default_rng(0).normal(size=(1200, 6)).astype(np.float32)
TENSOR = {"inputs": {"tensor": {"dtype": "float32", "shape": [-1, 6]}}}


def network(*last: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    hidden = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Dropout(0.5))
    return torch.nn.Sequential(hidden, torch.nn.Linear(32, 3), *last)


def said(module: torch.nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(torch.as_tensor(rows)).numpy()


class Pair(torch.nn.Module):
    """Answers with two tensors."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x + 1


def test_any_number_of_rows_gets_the_modules_answers() -> None:
    module = network(torch.nn.Softmax(dim=1))
    onnx = TorchConverter().convert(module, TENSOR)
    for count in (1, 3, 1000):
        answers, _ = onnx.predict(ROWS[:count])
        np.testing.assert_allclose(answers, said(module, ROWS[:count]), atol=1e-6)


def test_a_module_in_training_stays_so_and_the_bytes_stay_the_same() -> None:
    module = network().train()
    first = TorchConverter().convert(module, TENSOR)
    assert module.training
    assert TorchConverter().convert(module, TENSOR).content == first.content
    assert str(Path(__file__).parent).encode() not in first.content, "no path of this machine is in it"


def test_the_seam_is_kept() -> None:
    check_converter(TorchConverter(), network(), pd.DataFrame(ROWS[:20], columns=list("abcdef")))


def test_what_it_cannot_take_is_named() -> None:
    with pytest.raises(InvalidObject, match="2 tensors"):
        TorchConverter().convert(Pair(), TENSOR)
    with pytest.raises(InvalidObject, match="'when' holds no numbers"):
        TorchConverter().convert(network(), {"inputs": [{"name": "when", "type": "string"}]})
    with pytest.raises(InvalidObject, match="registered without data"):
        TorchConverter().convert(network(), {"inputs": None})


class Branching(torch.nn.Module):
    """Does another thing where the rows sum to much: no trace holds that."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(dim=1) if x.sum() > 0 else -x.sum(dim=1)


def test_what_a_trace_does_not_hold_is_not_chosen() -> None:
    module = Branching()
    reference = answered(module, np.abs(ROWS))
    report = convert(module, TENSOR, reference, candidates=(TorchConverter(),))
    assert report.chosen is None
    assert "disagrees" in report.reason or "differ" in report.reason


@pytest.mark.integration
def test_an_endpoint_answers_as_the_module(workspace: Any) -> None:
    module = network()
    version = nbmlops.register_model(module, name="digits", data=ROWS)
    endpoint = nbmlops.deploy("digits")
    try:
        [deployed] = nbmlops.events("endpoint.deployed")
        assert [arm["runtime"] for arm in deployed.data["arms"]] == ["onnx"], deployed.data["arms"]
        np.testing.assert_allclose(np.asarray(endpoint.predict(ROWS[:7])), said(module, ROWS[:7]), atol=1e-5)
        reloaded = nbmlops.convert(version.reference)
        assert reloaded.chosen == "torch", reloaded.reason
    finally:
        nbmlops.down()
