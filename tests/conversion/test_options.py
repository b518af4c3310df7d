"""Quantisation, graph optimisation and execution providers: what they make, and what they refuse."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from nbmlops.conversion import Speed, convert
from nbmlops.conversion.options import Options, applied
from nbmlops.conversion.outside import OutsideConverter
from nbmlops.conversion.rungs import FLOAT32
from nbmlops.conversion.scikit_learn import SklearnConverter
from nbmlops.core.errors import InvalidInput, InvalidObject
from nbmlops.registry import Reference
from nbmlops.registry.signature import columns_of
from tests.conversion.conftest import make_case

CUDA = "CUDAExecutionProvider"


def operators(model) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model.content).graph.node]


@pytest.fixture(scope="module")
def network(flights, late):
    model = make_pipeline(StandardScaler(), MLPClassifier((16, 8), max_iter=40, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return make_case(model, flights[["wind", "hour", "distance"]], late)


@pytest.fixture(scope="module")
def converted(network):
    return SklearnConverter().convert(network.model, network.signature)


def test_no_option_leaves_the_model_as_it_is(converted):
    assert applied(converted, Options()) == converted


def test_a_quantised_network_multiplies_in_eight_bits_and_answers_nearly_the_same(network, converted):
    small = applied(converted, Options(quantize=True))
    assert operators(small).count("MatMulInteger") == 3
    assert "MatMul" not in operators(small)
    difference = np.abs(small.predict(network.reference.inputs)[1] - network.reference.probabilities).max()
    assert 1e-5 < difference < 0.2, "weights in eight bits are other weights"
    assert applied(converted, Options(quantize=True)) == small


def carriers(weights: str):
    """A network over two columns of categories, as trained or with weights that eight bits hold exactly."""
    rng = np.random.default_rng(4)
    rows = pd.DataFrame({"carrier": rng.choice(["AA", "UA"], 400), "tail": rng.choice(["x", "y", "z"], 400)})
    model = make_pipeline(
        OneHotEncoder(handle_unknown="ignore", sparse_output=False), MLPClassifier((4,), max_iter=30, random_state=0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows, (rows.carrier == "UA") & (rows.tail != "x"))
    if weights == "-1, 0 and 1":  # "UA" without "x", and then the answer
        network = model[-1]
        network.coefs_ = [np.zeros((5, 4)), np.array([[8.0], [0.0], [0.0], [0.0]])]
        network.coefs_[0][:, 0] = [0, 1, -1, 0, 0]
        network.intercepts_ = [np.zeros(4), np.array([-4.0])]
    predictions, probabilities = model.predict(rows), model.predict_proba(rows)
    reference = Reference(rows, predictions, probabilities, [False, True], "sha256:0")
    return model, {"inputs": columns_of(rows)}, reference


@pytest.mark.parametrize(("weights", "accepted"), [("-1, 0 and 1", True), ("as trained", False)])
def test_a_quantised_network_is_taken_only_where_it_still_answers_the_same(monkeypatch, weights, accepted):
    monkeypatch.setattr("nbmlops.conversion.ladder.speed", lambda *given, **sizes: Speed((1,), (2.0,), (1.0,)))
    report = convert(*carriers(weights), candidates=(SklearnConverter(),), options=Options(quantize=True))
    assert (report.chosen is not None) is accepted, report.reason
    assert report.certificate["options"]["quantize"] is True
    if accepted:
        assert "MatMulInteger" in operators(report.onnx)
    else:
        assert "disagrees" in report.reason


@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(3, random_state=0)])
def test_what_multiplies_no_weights_has_nothing_to_quantise(flights, late, model):
    case = make_case(model, flights[["wind", "hour"]], late)
    made = SklearnConverter().convert(case.model, case.signature)
    with pytest.raises(InvalidObject, match=r"nothing to quantise.*graph has"):
        applied(made, Options(quantize=True))


@pytest.mark.parametrize("level", ["basic", "extended"])
def test_an_optimised_graph_is_smaller_and_gives_the_same_bits(network, converted, level):
    simpler = applied(converted, Options(optimize=level))
    assert len(operators(simpler)) < len(operators(converted))
    for left, right in zip(
        simpler.predict(network.reference.inputs), converted.predict(network.reference.inputs), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_the_estimator_behind_a_preprocessing_takes_options_too(network):
    made = OutsideConverter("outside", (FLOAT32,)).convert(network.model, network.signature)
    small = applied(made, Options(quantize=True, optimize="basic"))
    assert small.runtime == "hybrid"
    assert "MatMulInteger" in operators(small)
    np.testing.assert_allclose(
        small.predict(network.reference.inputs)[1], network.reference.probabilities, rtol=0, atol=0.2
    )


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        ("all", "for this machine's processor alone"),
        ("extnded", r"no optimisation level 'extnded'.*basic or extended.*Did you mean extended"),
    ],
)
def test_a_level_that_would_not_travel_or_is_not_there_is_refused(level, reason):
    with pytest.raises(InvalidInput, match=reason):
        Options(optimize=level)


@pytest.mark.parametrize("name", ["", "cpu", "CPUExecutionProvider"])
def test_the_cpu_is_what_everything_runs_on(name):
    assert Options(provider=name).provider == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("cuda", rf"as it is installed here has no {CUDA}. Expected one of CPUExecutionProvider.*onnxruntime-gpu"),
        ("TensorrtExecutionProvider", "has no TensorrtExecutionProvider"),
        ("azure", r"AzureExecutionProvider runs no model by itself.*Expected one of CPUExecutionProvider\."),
        ("gpu9", "knows no execution provider 'gpu9'"),
        ("FPGA", "not run on FPGAs"),
    ],
)
def test_a_provider_that_is_not_here_is_refused_with_those_that_are(name, reason):
    with pytest.raises(InvalidInput, match=reason):
        Options(provider=name)


@pytest.fixture
def with_cuda(monkeypatch):
    """ONNX Runtime as a build for CUDA: `used` is what its sessions then say that they run on."""

    def install(used: list[str]) -> list[list[str]]:
        asked: list[list[str]] = []
        real = onnxruntime.InferenceSession

        class Session:
            def __init__(self, model, options, providers):
                asked.append(providers)
                self._real = real(model, options, providers=["CPUExecutionProvider"])

            def get_providers(self):
                return used

            def run(self, names, feeds):
                return self._real.run(names, feeds)

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        return asked

    return install


def test_a_provider_that_does_not_start_is_told_from_the_cpu_that_would_stand_in(with_cuda):
    with_cuda(["CPUExecutionProvider"])
    with pytest.raises(InvalidInput, match=rf"{CUDA} could not start, and ONNX Runtime fell back to CPUExec.*drivers"):
        Options(provider="cuda")


def test_the_provider_asked_for_computes_the_model(with_cuda, network, converted):
    asked = with_cuda([CUDA, "CPUExecutionProvider"])
    there = applied(converted, Options(provider="cuda"))
    assert there.provider == CUDA
    there.predict(network.reference.inputs)
    assert asked == [[CUDA], [CUDA]]
