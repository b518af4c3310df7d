"""Quantisation, graph optimisation and execution providers, as a line of a notebook asks for them."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from nbmlops.conversion import Options
from nbmlops.core.errors import InvalidInput, Refused
from nbmlops.deployment import Replay
from nbmlops.registry.records import Reference
from nbmlops.workflows.convert import convert
from nbmlops.workflows.deploy import deploy
from nbmlops.workflows.prepare import Prepared, prepare
from nbmlops.workflows.register import register_model
from nbmlops.workflows.session import Session

from .conftest import fitted

ABSENT = r"no CUDAExecutionProvider. Expected one of CPUExecutionProvider"


@pytest.fixture
def unserved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every replay agree without a server; returns the digests of the bundles."""
    from nbmlops.conversion import agreement

    replayed: list[str] = []

    def replay(bundle, reference: Reference) -> Replay:
        replayed.append(bundle.digest)
        same = agreement(reference, reference.predictions, reference.probabilities)
        return Replay(rows=len(reference.inputs), fidelity=same)

    monkeypatch.setattr("nbmlops.deployment.replay", replay)
    return replayed


def prepared(session: Session, ref: str, **options) -> Prepared:
    return prepare(session, session.registry.version(ref), options=Options(**options))


def test_an_absent_provider_is_told_before_anything_is_done(two: Session) -> None:
    before = sorted(two.workspace.bundles.iterdir())
    for call in (lambda: convert("flights/1", provider="cuda"), lambda: deploy("flights/1", provider="CUDA")):
        with pytest.raises(InvalidInput, match=ABSENT):
            call()
    assert sorted(two.workspace.bundles.iterdir()) == before
    assert not two.journal.events("endpoint.deployed")


def test_a_simplified_graph_is_another_bundle_with_the_same_answers(two: Session, unserved: list[str]) -> None:
    plain = prepared(two, "flights/1")
    simple = prepared(two, "flights/1", optimize="extended")
    assert plain.bundle.digest != simple.bundle.digest
    assert prepared(two, "flights/1", optimize="extended") == simple
    assert unserved == [simple.bundle.digest], "each choice is remembered by itself"
    report = convert("flights/1", optimize="extended")
    assert report.certificate["options"] == {"quantize": False, "optimize": "extended", "provider": ""}
    assert report.certificate["provider"] == "CPUExecutionProvider"


def test_what_an_option_makes_unfaithful_is_refused_and_not_served_otherwise(
    session: Session, rows: pd.DataFrame, unserved: list[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network: Pipeline = fitted(rows, MLPClassifier((16,), max_iter=30, random_state=0))
    register_model(network, name="net", data=rows, label="late")
    report = convert("net/1", quantize=True)
    assert report.chosen is None
    assert any("disagrees with the fitted one" in one.outcome for one in report.trail)
    with pytest.raises(Refused, match=r"net/1 can't be served with --quantize: .*Without that option"):
        prepared(session, "net/1", quantize=True)
    assert unserved == []


def test_what_has_nothing_to_quantise_is_refused_with_that_reason(two: Session, unserved: list[str]) -> None:
    with pytest.raises(Refused, match=r"can't be served with --quantize: .*nothing to quantise"):
        prepared(two, "flights/1", quantize=True)


def test_a_file_in_onnx_stays_as_it_is(session: Session, tmp_path, unserved: list[str]) -> None:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "minus", values[:1], values[1:])
    path = tmp_path / "minus.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    register_model(path, name="minus")
    with pytest.raises(Refused, match=r"with --optimize basic: it is registered in ONNX, and stays as it is"):
        prepared(session, "minus/1", optimize="basic")
    assert prepared(session, "minus/1").bundle.manifest["provider"] == ""


@pytest.mark.integration
def test_a_deploy_serves_what_was_asked_for_and_says_on_what(two: Session, inputs, converting: Pipeline) -> None:
    served = deploy("flights/1", optimize="basic", provider="cpu")
    assert np.array_equal(served.predict(inputs), converting.predict(inputs))
    assert "v1: onnx on CPUExecutionProvider" in served._show_().fields["runtime"]
